#pragma once

#include <pathkernel/core/tensors.h>
#include <pathkernel/train/training_settings.h>

namespace pathkernel {

/// An average of the weights (theory 2.5). With x_s the weight of the newest:
///     w̄_0 = w_0,   w̄_{s+1} = (1−x_s) w̄_s + x_s w_{s+1}
/// x_s = 1−ρ at every step where `ema` is ρ (torch.optim.swa_utils.get_ema_multi_avg_fn, begun at the initial weights). As
/// torch.optim.swa_utils.AveragedModel does it: x_s = 0 but at steps start, start + every, …; there 1 at first, then 1/(updates so far + 1)
/// (mean) or 1 − decay (ema). The arithmetic is torch's of the mean, and of get_ema_multi_avg_fn.
/// Buffers are not averaged: the averaged network is evaluated with the network's own.
class WeightAverage {
 public:
  /// @throws InvalidInput for settings that keep none, two, or one that is no average
  WeightAverage(const TrainingSettings& settings, const NamedTensors& parameters);

  /// After a step.
  void update(const Tensors& parameters);
  /// x of the last step, as its kernels used it.
  double share_of_new(at::ScalarType dtype) const;
  /// How often it has been updated.
  int64_t updates() const;

  /// By the parameters' names, live.
  const NamedTensors& values() const { return values_; }
  /// Copies, in the dtype in which they were kept.  @param step  state `step` of the run: so many steps were made
  /// @throws InvalidInput when a name or a shape does not fit.
  void restore(const NamedTensors& values, int64_t step);

 private:
  bool is_due(int64_t s) const { return s >= settings_.start && (s - settings_.start) % settings_.every == 0; }

  AverageSettings settings_;
  bool from_the_initial_;
  int64_t steps_ = 0;
  NamedTensors values_;
};

}  // namespace pathkernel
