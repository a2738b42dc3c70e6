#pragma once

#include <pathkernel/train/per_parameter.h>

namespace pathkernel {

struct RMSpropStep { double lr; };

/// RMSprop (Hinton 2012; torch.optim.RMSprop), plain, centred (Graves 2013) and with momentum μ. Theory 2.1:
///     u = g + ω w;   v ← α v + (1−α) u²;   centred: ḡ ← α ḡ + (1−α) u, and v − ḡ² stands for v below
///     w ← w − η u/(√v + ε)   (μ = 0),   or   m ← μ m + u/(√v + ε), w ← w − η m
/// State: square_avg (v), grad_avg (ḡ) when centred, momentum_buffer (m) when μ ≠ 0.
class RMSprop : public PerParameter<RMSpropStep> {
 public:
  RMSprop(OptimizerSettings settings, const NamedTensors& parameters);

  Tensors memory() const override;

 protected:
  RMSpropStep update(size_t i, const Tensor& w, const Tensor& gradient, double lr) override;
  RMSpropStep adopted(const NamedTensors&, double lr, bool) override { return {lr}; }
  /// Cost: one pass over the weights.
  LinearForm form(size_t i, const RMSpropStep& r) const override;

 private:
  /// √v + ε of parameter i, with the roundings of the step.
  Tensor denominator(size_t i) const;
};

}  // namespace pathkernel
