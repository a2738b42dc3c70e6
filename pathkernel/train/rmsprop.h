#pragma once

#include <pathkernel/train/optimizer.h>

namespace pathkernel {

/// RMSprop (Hinton 2012; torch.optim.RMSprop), plain, centred (Graves 2013) and with momentum μ. Theory 2.1:
///     u = g + ω w;   v ← α v + (1−α) u²;   centred: ḡ ← α ḡ + (1−α) u, and v − ḡ² stands for v below
///     w ← w − η u/(√v + ε)   (μ = 0),   or   m ← μ m + u/(√v + ε), w ← w − η m
/// State: square_avg (v), grad_avg (ḡ) when centred, momentum_buffer (m) when μ ≠ 0.
class RMSprop : public Optimizer {
 public:
  RMSprop(OptimizerSettings settings, const NamedTensors& parameters);

  void step(const Tensors& parameters, const Tensors& gradients, double lr) override;
  /// Cost: one pass over the weights.
  std::vector<LinearForm> linear_form() const override;
  Tensors memory() const override;

 protected:
  void begin(size_t count) override { last_.assign(count, {}); }
  void note(size_t i, double lr, bool first) override;

 private:
  /// √v + ε of parameter i, with the roundings of the step.
  Tensor denominator(size_t i) const;

  struct Realised { bool updated = false; double lr = 0; };
  std::vector<Realised> last_;
};

}  // namespace pathkernel
