#pragma once

#include <pathkernel/machine/laplace.h>

namespace pathkernel {

/// E σ(mean + s·z), s = √variance, [m], to 1e-12 for every s. By trapezium rules, which converge exponentially in the distance of the poles of what is summed from the real line,
/// π for σ: up to s = 10 over z; above, where that would take ever more nodes, over the threshold u of σ(f) = P(u ≤ f), which is logistic: ∫ σ'(u) Φ((mean − u)/s) du.
Tensor expected_sigmoid(const Tensor& mean, const Tensor& variance);

/// E softmax(f), f ~ N(mean, covariance), by `draws` normal draws (in pairs z, −z; the same for every query).
/// @param mean  [m, C]   @param covariance  [m, C, C]   @throws InvalidInput for fewer draws than an error can be told of
EstimatedProbabilities expected_softmax(const Tensor& mean, const Tensor& covariance, int64_t draws, uint64_t seed);

}  // namespace pathkernel
