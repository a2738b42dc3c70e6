#pragma once

#include <pathkernel/tangent/tape.h>

#include <vector>

namespace pathkernel {

/// One update of running statistics, as batch normalisation in training mode made it of a batch of n examples with C channels, M rows each:
///     mean ← (1−m) mean + m Σ_i of_mean[i],       of_mean[i] = Σ_rows z / M
///     var  ← (1−m) var  + m Σ_i of_variance[i],   of_variance[i] = Σ_rows (z − z̄)² / (M−1)      (theory 2.5; torch keeps the unbiased variance)
struct StatisticsUpdate {
  size_t mean, variance;        ///< which of the tape's parameter_values they are: parameters first, then buffers
  double momentum;              ///< m
  Tensor of_mean, of_variance;  ///< [n, C] float64
};

/// The updates of one forward pass, in its order.  @param tape  of Side::forward
/// The first dimension of the normalised tensor must be the examples, as torch.nn has it; where it is of another length (examples folded
/// into rows), or the statistics are not the model's own buffers, an update is left out: whose part is whose is not known there.
std::vector<StatisticsUpdate> statistics_updates(const Tape& tape);

/// Does this operation update running statistics, as it was called?
bool updates_statistics(const c10::OperatorHandle& op, const std::vector<c10::IValue>& arguments);

}  // namespace pathkernel
