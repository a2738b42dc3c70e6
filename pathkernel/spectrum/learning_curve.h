#pragma once

#include <pathkernel/spectrum/spectrum.h>

#include <cstdint>
#include <vector>

namespace pathkernel {

struct LearningCurveOptions {
  double ridge = 0;  ///< λ of α = (K + λI)⁻¹ y
  double noise = 0;  ///< variance of the noise on the training labels
};

/// What kernel ridge regression is expected to have learned from n examples.
struct LearningCurvePoint {
  int64_t n = 0;
  double error = 0;            ///< mean squared error against the noiseless target, over training sets and test points
  double from_target = 0;      ///< the part of it that is there without noise
  double from_noise = 0;
  double effective_ridge = 0;  ///< κ below
  std::vector<double> learned; ///< [degrees of the target] share of the target's coefficients that is learned, nμ_k/(nμ_k + κ)
};

/// Learning curve of kernel ridge regression on uniform points of the sphere, from the spectrum alone:
///   κ = λ + κ Σ_k N μ_k/(nμ_k + κ),   γ = n Σ_k N μ_k²/(nμ_k + κ)²,
///   error = [ Σ_k ‖f_k‖² κ²/(nμ_k + κ)² + σ² γ ] / (1 − γ).
/// Replica calculation of Bordelon, Canatar and Pehlevan (2020, arXiv:2002.02561; with noise: Canatar, Bordelon and Pehlevan 2021, Nature
/// Communications 12:2914). It is a prediction, not a bound: exact for Gaussian features as n and the degeneracies N grow, and close in
/// practice. The degrees beyond the spectrum are not learned and act as a ridge, κ(1) − Σ μ_k N.
/// @param powers  ‖f_k‖² of the target's degrees 0, 1, … (rkhs.h)
/// @throws InvalidInput when the last eigenvalue is already learned at n (a larger k_max is needed), or the kernel has negative ones.
std::vector<LearningCurvePoint> learning_curve(const Spectrum& spectrum, const std::vector<double>& powers, const std::vector<int64_t>& sizes,
                                               const LearningCurveOptions& options = {});

}  // namespace pathkernel
