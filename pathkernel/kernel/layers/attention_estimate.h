#pragma once

#include <pathkernel/core/tensors.h>

#include <utility>

namespace pathkernel::stax {

/// Softmax attention whose logits stay Gaussian (divided by √d_k), by Monte Carlo over the logits (theory 6).
///
/// For inputs x, y and tokens a, b: (G_{a·}, G'_{b·}) has covariance σ²[[K^x_aa K^x, K_ab K], [K_ab Kᵀ, K^y_bb K^y]]; with ζ = softmax(G):
///     K'_ab = v·E ζKζ'ᵀ
///     Θ'_ab = 2K'_ab + v·E ζΘζ'ᵀ + vσ² Σ E[∂ζ_i/∂G_p ∂ζ'_j/∂G'_q] K_ij (2K_ab K_pq + Θ_ab K_pq + K_ab Θ_pq)
/// The same standard normal numbers are used for every pair (x, y) and every (a, b), so that the estimates vary smoothly with the inputs, and
/// x = y gives G = G'. Cost per pair of inputs: S² eigendecompositions of 2S×2S, and S⁴ operations per sample.
struct AttentionEstimate {
  Tensor logit_variance;  ///< σ² = σ_Q²σ_K²
  Tensor value_variance;  ///< v = σ_O²σ_V²
  int64_t samples = 1000;
  uint64_t seed = 0;

  /// @param K, Theta  [pairs, S, S] (Theta may be undefined: zero)   @param own_x, own_y  [n, S, S], [m, S, S]
  /// @return K', Θ' (undefined without `tangent`)
  std::pair<Tensor, Tensor> attend(const Tensor& K, const Tensor& Theta, const Tensor& own_x, const Tensor& own_y, bool tangent) const;
};

/// Numbers held per pair of inputs of S tokens.
double estimate_scratch(double S);

}  // namespace pathkernel::stax
