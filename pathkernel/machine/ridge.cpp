#include <pathkernel/machine/ridge.h>

#include <pathkernel/core/error.h>

#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <fmt/format.h>

#include <cmath>
#include <limits>

namespace pathkernel {
namespace {

void check_lambda(double lambda) {
  if (!(lambda >= 0) || !std::isfinite(lambda)) throw InvalidInput(fmt::format("ridge: lambda is {}, expected a number from zero up", lambda));
}

}  // namespace

Tensor KernelRidge::predict(const Tensor& K_x) const { return query_gram(K_x, alpha.size(0), "ridge").mm(alpha); }

Tensor KernelRidge::contributions(const Tensor& K_x) const {
  return query_gram(K_x, alpha.size(0), "ridge").unsqueeze(2) * alpha.unsqueeze(0);
}

Tensor KernelRidge::removals(const Tensor& K_x) const {
  const Tensor Qk = factor.solve(query_gram(K_x, alpha.size(0), "ridge").t()).t();  // [m, n]
  return (Qk / factor.inverse().diagonal()).unsqueeze(2) * alpha.unsqueeze(0);
}

Tensor KernelRidge::weight_derivatives(const Tensor& K_x) const {
  const Tensor Qk = factor.solve(query_gram(K_x, alpha.size(0), "ridge").t()).t();
  return (Qk * lambda).unsqueeze(2) * alpha.unsqueeze(0);
}

KernelRidge fit_ridge(const Tensor& K, const Tensor& y, double lambda, const MachineOptions& options) {
  check_lambda(lambda);
  Tensor A = training_gram(K, "ridge").clone();
  const int64_t n = A.size(0);
  require_memory(2, n, options.memory, "ridge");
  const Tensor targets = targets_of(y, n, "ridge");
  A.diagonal() += lambda;
  KernelRidge machine;
  machine.lambda = lambda;
  machine.factor = cholesky(A, options, "ridge", lambda == 0 ? "the Gram matrix (lambda is 0)" : fmt::format("K + {:g}*I", lambda));
  machine.alpha = machine.factor.solve(targets);
  machine.leave_one_out = targets - machine.alpha / machine.factor.inverse().diagonal().unsqueeze(1);
  return machine;
}

RidgePath ridge_path(const Tensor& K, const Tensor& y, const std::vector<double>& lambdas, const MachineOptions& options) {
  if (lambdas.empty()) throw InvalidInput("ridge: a path needs at least one lambda");
  for (const double lambda : lambdas) check_lambda(lambda);
  const Tensor gram = training_gram(K, "ridge");
  const int64_t n = gram.size(0);
  require_memory(3, n, options.memory, "ridge");
  const Tensor targets = targets_of(y, n, "ridge");
  const EigenDecomposition e = eigen_decomposition(gram, "ridge");
  const Tensor Uy = e.vectors.t().mm(targets), U2 = e.vectors.square();
  const double smallest = e.values[0].item<double>(), largest = e.values[-1].item<double>();
  const auto count = static_cast<int64_t>(lambdas.size());
  RidgePath path;
  path.lambdas = lambdas;
  path.alpha = at::empty({count, n, targets.size(1)}, targets.options());
  path.leave_one_out = at::empty_like(path.alpha);
  for (int64_t r = 0; r < count; ++r) {
    const double lambda = lambdas[static_cast<size_t>(r)];
    if (smallest + lambda <= static_cast<double>(n) * std::numeric_limits<double>::epsilon() * largest)
      throw InvalidInput(fmt::format("ridge: the Gram matrix is singular in float64 (eigenvalues from {:.4g} to {:.4g}), so that lambda = {:g} leaves no solution; "
                                     "give a larger one", smallest, largest, lambda));
    const Tensor shrunk = (e.values + lambda).reciprocal().unsqueeze(1);  // [n, 1]
    path.alpha[r].copy_(e.vectors.mm(shrunk * Uy));
    path.leave_one_out[r].copy_(targets - path.alpha[r] / U2.mm(shrunk));
  }
  path.error = (path.leave_one_out - targets).square().flatten(1).mean(1);
  path.best = path.error.argmin().item<int64_t>();
  return path;
}

}  // namespace pathkernel
