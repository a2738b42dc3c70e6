#include <pathkernel/machine/joint_laplace.h>

#include <pathkernel/core/error.h>
#include <pathkernel/machine/svm.h>

#include <ATen/ops/bmm.h>
#include <ATen/ops/diag_embed.h>
#include <ATen/ops/einsum.h>
#include <ATen/ops/linalg_eigh.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/softplus.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <fmt/format.h>

#include <cmath>
#include <limits>

namespace pathkernel {
namespace {

constexpr const char* who = "joint Laplace classification";

/// x = B⁻¹b for B = I + HᵀKH, b [nC, 1].
using Solve = std::function<Tensor(const Tensor& H, const Tensor& b)>;

Tensor blocks(const Tensor& H, const Tensor& v) { return at::bmm(H, v.reshape({H.size(0), H.size(1), -1})).reshape(v.sizes()); }      // Hv
Tensor transposed(const Tensor& H, const Tensor& v) { return blocks(H.transpose(1, 2), v); }                                        // Hᵀv

double log_likelihood(const Tensor& f, const Tensor& y) {
  if (f.size(1) == 1) return (y * f - at::softplus(f)).sum().item<double>();
  return (y * at::log_softmax(f, 1)).sum().item<double>();
}

/// Λ = HHᵀ
Tensor root_of(const Tensor& pi) {
  if (pi.size(1) == 1) return (pi * (1 - pi)).sqrt().unsqueeze(2);
  const Tensor root = pi.sqrt();
  return at::diag_embed(root) - at::einsum("ic,id->icd", {pi, root});
}

struct Mode {
  Tensor f, a, g;  ///< f = m + g, g = Ka; [n, C]
  double objective = -std::numeric_limits<double>::infinity();  ///< −½ aᵀKa + log p(y|f)
};

/// Newton's step of the equation r = y − π(m + Ka) − a = 0, (I + ΛK)⁻¹r = r − HB⁻¹HᵀKr, halved until the objective does not fall by more than rounding; nothing where no
/// part of it is small enough.
std::optional<Mode> step(const Mode& now, const Tensor& r, const Tensor& H, const LinearMap& K, const Solve& solve, const Tensor& m, const Tensor& y) {
  const auto column = [](const Tensor& t) { return t.reshape({-1, 1}); };
  const Tensor inner = solve(H, transposed(H, K(column(r))));
  const Tensor change = r - blocks(H, inner).view(r.sizes()), moved = K(column(change)).view(r.sizes());
  Mode next;
  for (double size = 1; size > 1e-6; size /= 2) {
    next.a = now.a + size * change;
    next.g = now.g + size * moved;
    next.f = m + next.g;
    next.objective = -0.5 * (next.a * next.g).sum().item<double>() + log_likelihood(next.f, y);
    if (next.objective >= now.objective - 1e-13 * std::abs(now.objective)) return next;
  }
  return {};
}

JointLaplace newton(const LinearMap& K, const Tensor& mean, const Tensor& labels, const Solve& solve, const LaplaceOptions& options) {
  const Tensor m = targets_of(mean, mean.size(0), who);
  const int64_t n = m.size(0), C = m.size(1), classes = std::max<int64_t>(2, C);
  const Tensor label = labels_of(labels, n, classes, who).unsqueeze(1);
  const Tensor y = C == 1 ? label.to(at::kDouble) : at::zeros({n, C}, m.options()).scatter_(1, label, 1);
  Mode now{m, at::zeros_like(m), at::zeros_like(m), log_likelihood(m, y)};
  JointLaplace machine;
  Tensor pi = class_probabilities(now.f);
  const auto residual = [&] { return (y - pi - now.a).abs().max().item<double>(); };
  while (residual() > options.tolerance && machine.iterations < options.iterations) {
    const double before = residual();
    std::optional<Mode> next = step(now, y - pi - now.a, root_of(pi), K, solve, m, y);
    if (!next) break;
    ++machine.iterations;
    next->g = K(next->a.reshape({-1, 1})).view(m.sizes());
    next->f = m + next->g;
    now = *std::move(next);
    pi = class_probabilities(now.f);
    if (residual() >= before && before < 1e-6) break;  // rounding is all that is left
  }
  machine.residual = residual();
  machine.converged = machine.residual <= 100 * options.tolerance;
  machine.mode = now.f;
  machine.alpha = now.a;
  machine.H = root_of(pi);
  machine.log_evidence = now.objective;
  return machine;
}

/// I + HᵀKH
Tensor inner_matrix(const Tensor& K, const Tensor& H) {
  const int64_t n = H.size(0), C = H.size(1);
  const Tensor left = at::bmm(H.transpose(1, 2), K.view({n, C, n * C})).view({n * C, n, C});  // HᵀK
  Tensor B = at::einsum("rjc,jcd->rjd", {left, H}).reshape({n * C, n * C});
  B = (B + B.t()) / 2;
  B.diagonal() += 1;
  return B;
}

}  // namespace

Tensor class_probabilities(const Tensor& f) { return f.size(1) == 1 ? at::sigmoid(f) : at::softmax(f, 1); }

Tensor JointLaplace::covariance(const Tensor& K_x, const Tensor& K_xx) const {
  if (!factor) throw InvalidInput(fmt::format("{}: conjugate gradients leave no factor to take a covariance from; fit the exact machine", who));
  const int64_t C = mode.size(1), rows = query_gram(K_x, mode.numel(), who).size(0);
  if (K_xx.dim() != 3 || K_xx.size(0) * C != rows || K_xx.size(1) != C || K_xx.size(2) != C)
    throw InvalidInput(fmt::format("{}: the queries' own blocks are {}, expected [{}, {}, {}]", who, describe(K_xx), rows / C, C, C));
  const Tensor V = factor->half_solve(transposed(H, K_x.t().contiguous())).reshape({-1, rows / C, C});
  const Tensor difference = K_xx - at::einsum("rqc,rqd->qcd", {V, V});
  const auto [values, vectors] = at::linalg_eigh((difference + difference.transpose(1, 2)) / 2);
  return at::bmm(vectors * values.clamp_min(0).unsqueeze(1), vectors.transpose(1, 2));  // what rounding made negative is zero
}

JointLaplace fit_joint_laplace(const Tensor& K, const Tensor& mean, const Tensor& labels, const LaplaceOptions& options) {
  const Tensor gram = training_gram(K, who);
  if (!mean.defined() || mean.dim() != 2 || mean.numel() != gram.size(0))
    throw InvalidInput(fmt::format("{}: the mean is {}, expected [n, C] with n·C = {} rows of the Gram matrix", who, describe(mean), gram.size(0)));
  require_memory(4, gram.size(0), options.machine.memory, who);
  const auto factorised = [&](const Tensor& H) { return cholesky(inner_matrix(gram, H), options.machine, who, "I + H^T K H"); };
  JointLaplace machine = newton([&](const Tensor& v) { return gram.mm(v); }, mean, labels, [&](const Tensor& H, const Tensor& b) { return factorised(H).solve(b); }, options);
  machine.factor = factorised(machine.H);
  machine.log_evidence -= 0.5 * machine.factor->log_determinant();
  return machine;
}

JointLaplace fit_joint_laplace(const LinearMap& K, const Tensor& mean, const Tensor& labels, const std::function<LinearMap(const Tensor& H)>& precondition, const CgOptions& cg,
                               const LaplaceOptions& options) {
  int64_t inner = 0;
  const auto solve = [&](const Tensor& H, const Tensor& b) {
    const LinearMap B = [&](const Tensor& v) { return v + transposed(H, K(blocks(H, v))); };
    const CgSolution s = conjugate_gradients(B, b, precondition ? precondition(H) : LinearMap(), cg);
    inner += s.iterations;
    return s.x;
  };
  JointLaplace machine = newton(K, mean, labels, solve, options);
  machine.inner_iterations = inner;
  machine.log_evidence = std::numeric_limits<double>::quiet_NaN();
  return machine;
}

}  // namespace pathkernel
