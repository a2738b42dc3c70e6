#pragma once

#include <pathkernel/machine/laplace.h>

namespace pathkernel {

/// E σ(mean + √variance·z), [m]: the trapezium rule over |z| ≤ 9, whose error falls exponentially with the step times the deviation; 1e-10.
Tensor expected_sigmoid(const Tensor& mean, const Tensor& variance);

/// E softmax(f), f ~ N(mean, covariance), by `draws` normal draws (in pairs z, −z; the same for every query).
/// @param mean  [m, C]   @param covariance  [m, C, C]   @throws InvalidInput for fewer draws than an error can be told of
EstimatedProbabilities expected_softmax(const Tensor& mean, const Tensor& covariance, int64_t draws, uint64_t seed);

}  // namespace pathkernel
