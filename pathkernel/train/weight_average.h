#pragma once

#include <pathkernel/core/tensors.h>

namespace pathkernel {

/// Exponential moving average of the weights (theory 2.5; torch.optim.swa_utils.get_ema_multi_avg_fn, begun at the initial weights):
///     w̄_0 = w_0,   w̄_{s+1} = ρ w̄_s + (1−ρ) w_{s+1}
/// Buffers are not averaged: the averaged network is evaluated with the network's own.
class WeightAverage {
 public:
  /// @throws InvalidInput unless 0 < ρ < 1
  WeightAverage(double decay, const NamedTensors& parameters);

  void update(const Tensors& parameters);
  /// The number that the average's kernels use for 1−ρ.
  double share_of_new(at::ScalarType dtype) const;

  /// By the parameters' names, live.
  const NamedTensors& values() const { return values_; }
  /// Copies. @throws InvalidInput when a name or a shape does not fit.
  void restore(const NamedTensors& values);

 private:
  double decay_;
  NamedTensors values_;
};

}  // namespace pathkernel
