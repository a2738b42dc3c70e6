#include <pathkernel/machine/laplace_newton.h>

#include <pathkernel/core/error.h>
#include <pathkernel/machine/expectations.h>
#include <pathkernel/machine/svm.h>

#include <ATen/ops/empty.h>
#include <ATen/ops/eye.h>
#include <ATen/ops/logsumexp.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/zeros.h>
#include <fmt/format.h>

#include <limits>
#include <optional>

namespace pathkernel {
namespace {

constexpr const char* who = "Laplace classification";

struct Mode {
  Tensor f, a, pi;  ///< [C, n]
  Tensor E;
  Cholesky sum;     ///< of Σ_c E_c
  double half_log_determinants = 0;  ///< Σ_c ½ log|I + D_c^½KD_c^½|
  double objective = 0;              ///< −½ aᵀf + yᵀf − Σ log Σ_c exp f_c
  double moved = std::numeric_limits<double>::infinity();
};

double objective(const Tensor& a, const Tensor& f, const Tensor& y) {
  return ((y - 0.5 * a) * f).sum().item<double>() - at::logsumexp(f, {0}).sum().item<double>();
}

void linearise(Mode& m, const Tensor& K, const LaplaceOptions& options) {
  const int64_t C = m.f.size(0), n = K.size(0);
  m.pi = at::softmax(m.f, 0);
  m.E = at::empty({C, n, n}, K.options());
  m.half_log_determinants = 0;
  for (int64_t c = 0; c < C; ++c) {
    const Tensor root = m.pi[c].sqrt();
    const Cholesky B = cholesky(root.unsqueeze(1) * K * root + at::eye(n, K.options()), options.machine, who, "I + D^1/2 K D^1/2");
    m.half_log_determinants += 0.5 * B.log_determinant();
    m.E[c].copy_(root.unsqueeze(1) * B.inverse() * root);
  }
  m.sum = cholesky(m.E.sum(0), options.machine, who, "the sum of the classes' matrices");
}

/// As for two classes.
std::optional<Mode> step(const Mode& m, const Tensor& K, const Tensor& y) {
  const Tensor r = y - m.pi - m.a;                                              // ∇ − a
  const Tensor c = at::matmul(m.E, r.mm(K).unsqueeze(2)).squeeze(2);            // E K r
  const Tensor shared = m.sum.solve(c.sum(0).unsqueeze(1));                     // (ΣE)⁻¹ Σ_c c
  const Tensor change = r - c + at::matmul(m.E, shared).squeeze(2);             // (I + (D − ΠΠᵀ)K)⁻¹ r
  return halved_step(m, change, [&](Mode& next) {
    next.f = next.a.mm(K);
    next.objective = objective(next.a, next.f, y);
  });
}

}  // namespace

Tensor LaplaceMulticlass::mean(const Tensor& K_x) const { return query_gram(K_x, mode.size(1), who).mm(gradient.t()); }

Tensor LaplaceMulticlass::covariance(const Tensor& K_x, const Tensor& k_xx) const {
  const Tensor k = query_gram(K_x, mode.size(1), who);
  const int64_t C = mode.size(0), m = k.size(0);
  const Tensor prior = query_diagonal(k_xx, m, who), result = at::empty({m, C, C}, k.options());
  Tensors own, shared;  // E_c k_x and M⁻¹E_c k_x, [n, m]
  for (int64_t c = 0; c < C; ++c) {
    own.push_back(E[c].mm(k.t()));
    shared.push_back(factor.half_solve(own.back()));
  }
  for (int64_t c = 0; c < C; ++c)
    for (int64_t d = 0; d <= c; ++d) {
      Tensor entry = (shared[static_cast<size_t>(c)] * shared[static_cast<size_t>(d)]).sum(0);
      if (c == d) entry = (entry + prior - (own[static_cast<size_t>(c)] * k.t()).sum(0)).clamp_min(0);
      result.select(1, c).select(1, d).copy_(entry);
      result.select(1, d).select(1, c).copy_(entry);
    }
  return result;
}

EstimatedProbabilities LaplaceMulticlass::probabilities(const Tensor& K_x, const Tensor& k_xx, int64_t draws, uint64_t seed) const {
  return expected_softmax(mean(K_x), covariance(K_x, k_xx), draws, seed);
}

LaplaceMulticlass fit_laplace_multiclass(const Tensor& K, const Tensor& labels, int64_t classes, const LaplaceOptions& options) {
  const Tensor gram = training_gram(K, who);
  const int64_t n = gram.size(0);
  require_memory(static_cast<double>(classes) + 4, n, options.machine.memory, who);
  const Tensor y = at::zeros({classes, n}, gram.options()).scatter_(0, labels_of(labels, n, classes, who).unsqueeze(0), 1);
  Mode m;
  m.f = m.a = at::zeros({classes, n}, gram.options());
  m.objective = objective(m.a, m.f, y);
  LaplaceMulticlass machine;
  find_mode(m, [&](Mode& at) { linearise(at, gram, options); }, [&](const Mode& at) { return step(at, gram, y); }, options, machine);
  machine.mode = m.f;
  machine.gradient = y - m.pi;
  machine.E = m.E;
  machine.factor = m.sum;
  machine.log_evidence = m.objective - m.half_log_determinants - 0.5 * m.sum.log_determinant();
  return machine;
}

}  // namespace pathkernel
