#include <pathkernel/machine/conjugate_gradients.h>

#include <pathkernel/core/bytes.h>
#include <pathkernel/core/error.h>
#include <pathkernel/kernel/gram.h>

#include <ATen/ops/eye.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace pathkernel {
namespace {

constexpr const char* who = "conjugate gradients";

Tensor column_dot(const Tensor& a, const Tensor& b) { return (a * b).sum(0); }

/// a/b where b is not zero, else zero: columns that are solved stand still.
Tensor ratio(const Tensor& a, const Tensor& b) { return at::where(b == 0, at::zeros_like(a), a / at::where(b == 0, at::zeros_like(b) + 1, b)); }

void require_positive(const Tensor& products, const char* what) {
  const double smallest = products.min().item<double>();
  if (smallest < 0 || std::isnan(smallest))
    throw InvalidInput(fmt::format("{}: {} is not positive definite (it gave {:.3g} for vᵀAv)", who, what, smallest));
}

bool within(double tolerance, const Tensor& r, const Tensor& norm) { return (r.norm(2, 0) <= tolerance * norm).all().item<bool>(); }

/// From s.x, whose residual is r, until the recursion says that it is within the tolerance.
void descend(const LinearMap& A, const LinearMap& precondition, const CgOptions& options, Tensor r, const Tensor& norm, CgSolution& s) {
  Tensor z = precondition ? precondition(r) : r, p = z.clone(), rz = column_dot(r, z);
  for (; !within(options.tolerance, r, norm) && s.iterations < options.iterations; ++s.iterations) {
    require_positive(rz, "the preconditioner");
    const Tensor Ap = A(p), pAp = column_dot(p, Ap);
    require_positive(pAp, "the matrix");
    const Tensor step = ratio(rz, pAp);
    s.x += step * p;
    r -= step * Ap;
    z = precondition ? precondition(r) : r;
    const Tensor next = column_dot(r, z);
    p = z + ratio(next, rz) * p;
    rz = next;
    if (options.progress) options.progress(who, s.iterations + 1, options.iterations);
  }
}

/// Rows of a block of the matrix such that it and what is computed with fit.
int64_t block_rows(const Tensor& x, int64_t memory) {
  const double rows = std::sqrt(static_cast<double>(memory) / 2 / static_cast<double>(x.element_size()));
  return std::clamp<int64_t>(static_cast<int64_t>(rows), 1, std::min<int64_t>(4096, x.size(0)));
}

}  // namespace

CgSolution conjugate_gradients(const LinearMap& A, const Tensor& b, const LinearMap& precondition, const CgOptions& options) {
  const Tensor norm = b.norm(2, 0);
  CgSolution s;
  s.x = at::zeros_like(b);
  Tensor r = b.clone();
  for (double before = std::numeric_limits<double>::infinity();;) {
    descend(A, precondition, options, r, norm, s);
    r = b - A(s.x);
    s.residual = ratio(r.norm(2, 0), norm);
    s.converged = within(options.tolerance, r, norm);
    const double now = s.residual.max().item<double>();
    if (s.converged || s.iterations >= options.iterations || !(now < before / 2)) return s;
    before = now;
  }
}

Tensor kernel_product(const Kernel& kernel, const Tensor& x, const Tensor& V, double lambda, int64_t memory) {
  const int64_t n = x.size(0), rows = block_rows(x, memory);
  Tensor product = V * lambda;
  for (int64_t i = 0; i < n; i += rows)
    for (int64_t j = 0; j <= i; j += rows) {
      const int64_t height = std::min(rows, n - i), width = std::min(rows, n - j);
      const Tensor block = x.narrow(0, i, height);
      const GramOptions gram{.memory = memory};
      const Tensor K = (i == j ? gram_matrix(kernel, block, {}, gram) : gram_matrix(kernel, block, x.narrow(0, j, width), gram)).to(V.scalar_type());
      product.narrow(0, i, height).addmm_(K, V.narrow(0, j, width));
      if (i != j) product.narrow(0, j, width).addmm_(K.t(), V.narrow(0, i, height));
    }
  return product;
}

PivotedCholesky pivoted_cholesky(const Tensor& diagonal, const std::function<Tensor(int64_t)>& column, int64_t rank) {
  const int64_t n = diagonal.size(0), most = std::min(rank, n);
  Tensor left = diagonal.to(at::kDouble).clone(), L = at::zeros({n, most}, left.options());
  const double trace = left.sum().item<double>(), floor = static_cast<double>(n) * std::numeric_limits<double>::epsilon() * left.max().item<double>();
  int64_t k = 0;
  for (; k < most; ++k) {
    const int64_t pivot = left.argmax().item<int64_t>();
    const double largest = left[pivot].item<double>();
    if (largest <= floor) break;
    const Tensor next = (column(pivot).to(at::kDouble) - L.narrow(1, 0, k).mv(L[pivot].narrow(0, 0, k))) / std::sqrt(largest);
    L.select(1, k).copy_(next);
    left = (left - next.square()).clamp_min(0);
    left[pivot].fill_(0);
  }
  return {L.narrow(1, 0, k), left.sum().item<double>() / trace};
}

PivotedCholesky pivoted_cholesky(const Kernel& kernel, const Tensor& x, int64_t rank) {
  return pivoted_cholesky(gram_diagonal(kernel, x), [&](int64_t pivot) { return gram_matrix(kernel, x, x.narrow(0, pivot, 1)).squeeze(1); }, rank);
}

LinearMap PivotedCholesky::inverse_with(double lambda) const {
  Tensor inner = L.t().mm(L);
  inner.diagonal() += lambda;
  const Cholesky factor = cholesky(inner, {}, who, "the preconditioner");
  return [L = L, factor, lambda](const Tensor& v) { return (v - L.mm(factor.solve(L.t().mm(v)))) / lambda; };
}

RidgeByCg fit_ridge_by_cg(const Kernel& kernel, const Tensor& x, const Tensor& y, double lambda, int64_t rank, const CgOptions& cg, const MachineOptions& options) {
  if (!(lambda > 0) || !std::isfinite(lambda)) throw InvalidInput(fmt::format("{}: lambda is {}, expected a number above zero", who, lambda));
  if (rank < 0) throw InvalidInput(fmt::format("{}: the preconditioner's rank is {}, expected zero (none) or more", who, rank));
  kernel.check(x);
  const Tensor targets = targets_of(y, x.size(0), who);
  const double bytes = 8.0 * static_cast<double>(x.size(0)) * static_cast<double>(rank + 5 * targets.size(1));
  if (bytes > static_cast<double>(options.memory) / 2)
    throw InvalidInput(fmt::format("{}: a preconditioner of rank {} and the solution take {} for {} examples, more than half of the {} allowed; lower the rank", who, rank,
                                   print_bytes(static_cast<int64_t>(bytes)), x.size(0), print_bytes(options.memory)));
  RidgeByCg result;
  LinearMap precondition;
  if (rank > 0) {
    const PivotedCholesky approximation = pivoted_cholesky(kernel, x, rank);
    result.unexplained = approximation.unexplained;
    precondition = approximation.inverse_with(lambda);
  }
  result.solution = conjugate_gradients([&](const Tensor& V) { return kernel_product(kernel, x, V, lambda, options.memory / 2); }, targets, precondition, cg);
  result.alpha = result.solution.x;
  return result;
}

}  // namespace pathkernel
