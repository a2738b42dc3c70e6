#include <pathkernel/machine/laplace_newton.h>

#include <pathkernel/core/error.h>
#include <pathkernel/machine/expectations.h>
#include <pathkernel/machine/svm.h>

#include <ATen/ops/eye.h>
#include <ATen/ops/log_sigmoid.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros.h>
#include <fmt/format.h>

#include <limits>
#include <optional>

namespace pathkernel {
namespace {

constexpr const char* who = "Laplace classification";

struct Mode {
  Tensor f, a, pi, root;
  Cholesky factor;
  double objective = -std::numeric_limits<double>::infinity();  ///< −½ aᵀf + Σ log σ(yf)
  double moved = std::numeric_limits<double>::infinity();
};

double objective(const Tensor& a, const Tensor& f, const Tensor& y) { return -0.5 * a.dot(f).item<double>() + at::log_sigmoid(y * f).sum().item<double>(); }

void linearise(Mode& m, const Tensor& K, const LaplaceOptions& options) {
  m.pi = at::sigmoid(m.f);
  m.root = (m.pi * (1 - m.pi)).sqrt();
  const Tensor B = m.root.unsqueeze(1) * K * m.root + at::eye(K.size(0), K.options());
  m.factor = cholesky(B, options.machine, who, "I + W^1/2 K W^1/2");
}

/// One step of Newton's method. The book's a_new = (I + WK)⁻¹(Wf + ∇)
/// is a + (I + WK)⁻¹(∇ − a), whose rounding shrinks with the step.
std::optional<Mode> step(const Mode& m, const Tensor& K, const Tensor& y) {
  const Tensor r = (y + 1) / 2 - m.pi - m.a;  // ∇ − a
  const Tensor change = r - m.root * m.factor.solve((m.root * K.mv(r)).unsqueeze(1)).squeeze(1);
  return halved_step(m, change, [&](Mode& next) {
    next.f = K.mv(next.a);
    next.objective = objective(next.a, next.f, y);
  });
}

}  // namespace

Tensor LaplaceBinary::mean(const Tensor& K_x) const { return query_gram(K_x, mode.size(0), who).mv(gradient); }

Tensor LaplaceBinary::variance(const Tensor& K_x, const Tensor& k_xx) const {
  const Tensor k = query_gram(K_x, mode.size(0), who);
  return (query_diagonal(k_xx, k.size(0), who) - factor.half_solve(root.unsqueeze(1) * k.t()).square().sum(0)).clamp_min(0);
}

Tensor LaplaceBinary::probabilities(const Tensor& K_x, const Tensor& k_xx) const {
  const Tensor p = expected_sigmoid(mean(K_x), variance(K_x, k_xx));
  return at::stack({1 - p, p}, 1);
}

LaplaceBinary fit_laplace_binary(const Tensor& K, const Tensor& labels, const LaplaceOptions& options) {
  const Tensor gram = training_gram(K, who);
  const int64_t n = gram.size(0);
  require_memory(3, n, options.machine.memory, who);
  const Tensor y = labels_of(labels, n, 2, who).to(at::kDouble) * 2 - 1;
  Mode m;
  m.f = m.a = at::zeros({n}, gram.options());
  m.objective = objective(m.a, m.f, y);
  LaplaceBinary machine;
  find_mode(m, [&](Mode& at) { linearise(at, gram, options); }, [&](const Mode& at) { return step(at, gram, y); }, options, machine);
  machine.mode = m.f;
  machine.gradient = (y + 1) / 2 - m.pi;
  machine.root = m.root;
  machine.factor = m.factor;
  machine.log_evidence = m.objective - 0.5 * m.factor.log_determinant();
  return machine;
}

}  // namespace pathkernel
