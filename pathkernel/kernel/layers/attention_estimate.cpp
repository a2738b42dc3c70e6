#include <pathkernel/kernel/layers/attention_estimate.h>

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/linalg_eigh.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/softmax.h>

#include <algorithm>

namespace pathkernel::stax {
namespace {

constexpr int64_t chunk = 32;  // samples at a time

/// A square root R of a positive semi-definite matrix, R Rᵀ = C: symmetric, and there for singular C as well (equal inputs).
Tensor square_root(const Tensor& C) {
  const auto [values, vectors] = at::linalg_eigh(C);
  return at::matmul(vectors * values.clamp_min(0).sqrt().unsqueeze(-2), vectors.transpose(-1, -2));
}

/// Everything with dimensions [n, m, a, b, sample, token] that one chunk of samples needs.
struct Sample { Tensor zeta, zeta_y; };  // ζ of x and of y, [n, m, a, b, samples, S]

/// Σ_ij ζ_i M_ij ζ'_j, [n, m, a, b, samples]; M [n, m, S, S] is one for all a, b and samples.
Tensor weighted_sum(const Tensor& zeta, const Tensor& M, const Tensor& zeta_y) { return (at::matmul(zeta, M) * zeta_y).sum(-1); }

/// Σ_{ij pq} J_ip K_ij J'_jq M_pq for the softmax's Jacobian J = diag ζ − ζζᵀ: with u = ζᵀK, v = Kζ', w = ζᵀKζ',
///   JᵀKJ' has entries ζ_pζ'_q(K_pq − u_q − v_p + w).
Tensor through_softmax(const Sample& s, const Tensor& K, const Tensor& M) {
  const Tensor u = at::matmul(s.zeta, K), v = at::matmul(s.zeta_y, K.transpose(-1, -2));
  const Tensor w = (u * s.zeta_y).sum(-1);
  const Tensor zeta_M = at::matmul(s.zeta, M), M_zeta = at::matmul(s.zeta_y, M.transpose(-1, -2));
  return weighted_sum(s.zeta, K * M, s.zeta_y) - (u * s.zeta_y * zeta_M).sum(-1) - (v * s.zeta * M_zeta).sum(-1) + w * (zeta_M * s.zeta_y).sum(-1);
}

/// [n, m, a, b, 2S, 2S]
Tensor logit_covariance(const Tensor& K, const Tensor& own_x, const Tensor& own_y) {
  const auto outer = [](const Tensor& numbers, const Tensor& matrix) { return numbers.unsqueeze(-1).unsqueeze(-1) * matrix.unsqueeze(-3).unsqueeze(-3); };
  const int64_t S = K.size(-1);
  std::vector<int64_t> all = K.sizes().vec();
  all.insert(all.end(), {S, S});
  const Tensor variance_x = own_x.diagonal(0, -2, -1).unsqueeze(-1), variance_y = own_y.diagonal(0, -2, -1).unsqueeze(-2);
  const Tensor xx = outer(variance_x, own_x).expand(all), yy = outer(variance_y, own_y).expand(all), xy = outer(K, K);
  return at::cat({at::cat({xx, xy}, -1), at::cat({xy.transpose(-1, -2), yy}, -1)}, -2);
}

}  // namespace

std::pair<Tensor, Tensor> AttentionEstimate::attend(const Tensor& K, const Tensor& Theta, const Tensor& own_x, const Tensor& own_y,
                                                    bool tangent) const {
  const bool outer = K.dim() == 4;
  const Tensor x = outer ? own_x.unsqueeze(1) : own_x, y = outer ? own_y.unsqueeze(0) : own_y;
  const int64_t S = K.size(-1);
  const Tensor root = square_root(logit_covariance(K, x, y) * logit_variance);
  at::Generator generator = at::make_generator<at::CPUGeneratorImpl>(seed);
  const Tensor normal = at::randn({samples, 2 * S}, generator, at::kDouble).to(K.options());

  const Tensor K4 = K.unsqueeze(-3).unsqueeze(-3);  // [n, m, 1, 1, S, S]: one for all a, b
  const Tensor Theta4 = Theta.defined() ? Theta.unsqueeze(-3).unsqueeze(-3) : Theta;
  Tensor K_sum, value_sum, logit_K_sum, logit_Theta_sum;
  const auto add = [](Tensor& sum, const Tensor& term) { sum = sum.defined() ? sum + term.sum(-1) : term.sum(-1); };
  for (int64_t first = 0; first < samples; first += chunk) {
    const Tensor G = at::matmul(normal.narrow(0, first, std::min(chunk, samples - first)), root);  // R is symmetric
    const Sample s{at::softmax(G.narrow(-1, 0, S), -1), at::softmax(G.narrow(-1, S, S), -1)};
    add(K_sum, weighted_sum(s.zeta, K4, s.zeta_y));
    if (!tangent) continue;
    add(logit_K_sum, through_softmax(s, K4, K4));
    if (!Theta.defined()) continue;
    add(value_sum, weighted_sum(s.zeta, Theta4, s.zeta_y));
    add(logit_Theta_sum, through_softmax(s, K4, Theta4));
  }
  const Tensor mean = value_variance / static_cast<double>(samples);
  const Tensor K_after = K_sum * mean;
  if (!tangent) return {K_after, Tensor()};
  Tensor Theta_after = K_after * 2 + logit_K_sum * K * 2 * (mean * logit_variance);
  if (Theta.defined()) Theta_after = Theta_after + value_sum * mean + (logit_K_sum * Theta + logit_Theta_sum * K) * (mean * logit_variance);
  return {K_after, Theta_after};
}

double estimate_scratch(double S) { return S * S * (8 * 4 * S * S + 12.0 * chunk * S); }

}  // namespace pathkernel::stax
