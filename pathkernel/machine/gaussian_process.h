#pragma once

#include <pathkernel/machine/matrix.h>

#include <cstdint>

namespace pathkernel {

/// Gaussian process regression: y_i = f(x_i) + N(0, σ²), f ~ GP(0, k), on a Gram matrix (Rasmussen and Williams 2006, algorithm 2.1; theory 8).
/// Several outputs are independent processes with one kernel. With the NNGP kernel: the posterior of an infinitely wide Bayesian network.
struct GaussianProcess {
  double noise = 0;  ///< σ²
  Cholesky factor;   ///< L of K + σ²I
  Tensor alpha;      ///< (K + σ²I)⁻¹y, [n, k]
  double log_evidence = 0;  ///< log p(y) = −½ Σ yᵀα − k·(½log|K + σ²I| + n/2 log 2π), summed over the outputs

  Tensor mean(const Tensor& K_x) const;  ///< K_x α, [m, k]
  /// Of f itself, without the noise: k(x, x) − ‖L⁻¹k_x‖², [m], never below zero. @param k_xx  [m]
  Tensor variance(const Tensor& K_x, const Tensor& k_xx) const;
  /// Joint, K_xx − VᵀV with V = L⁻¹K_xᵀ, [m, m], exactly symmetric. @param K_xx  [m, m]
  Tensor covariance(const Tensor& K_x, const Tensor& K_xx) const;
  /// What the evidence gains per entry of K: ∂log p/∂K = ½(ααᵀ − k(K + σ²I)⁻¹), [n, n]. Its trace is ∂log p/∂σ².
  Tensor evidence_gradient() const;
};

/// @param noise  σ² ≥ 0   @throws InvalidInput also when K + σ²I is singular. 2 matrices, n³/3 operations.
GaussianProcess fit_gaussian_process(const Tensor& K, const Tensor& y, double noise, const MachineOptions& options = {});

/// Draws from N(mean, covariance): of a posterior, or of a prior (mean 0, covariance K_xx).
struct GaussianSamples {
  Tensor samples;     ///< [count, m, k]
  double jitter = 0;  ///< what had to be added to the covariance's diagonal; posterior covariances are often singular
};

/// @param mean  [m, k], a column an output, each with the same covariance
/// @throws InvalidInput when the covariance is not positive definite within options.largest_jitter
GaussianSamples sample_gaussian(const Tensor& mean, const Tensor& covariance, int64_t count, uint64_t seed,
                                const MachineOptions& options = {.largest_jitter = 1e-8});

}  // namespace pathkernel
