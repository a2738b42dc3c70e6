#pragma once

#include <pathkernel/train/per_parameter.h>

namespace pathkernel {

struct SgdStep { double lr; bool first; };  ///< first: the buffer was made from u itself

/// Stochastic gradient descent with momentum μ, dampening τ, Nesterov's look-ahead and coupled weight decay ω
/// (torch.optim.SGD; theory 2.1, first three rows):
///     u = g + ω w;   m ← μ m + (1−τ) u  (m ← u at a parameter's first step);
///     w ← w − η u  (μ = 0),   w − η m,   or w − η (u + μ m)  (Nesterov)
/// Decoupled (SGDW, Loshchilov & Hutter 2019; torch has none): u = g, and w ← (1 − ηω) w first, as AdamW does it.
/// State: momentum_buffer (m), when μ ≠ 0.
class Sgd : public PerParameter<SgdStep> {
 public:
  Sgd(OptimizerSettings settings, const NamedTensors& parameters);

  Tensors memory() const override { return settings_.momentum == 0 ? Tensors() : state_.or_zeros("momentum_buffer"); }

 protected:
  SgdStep update(size_t i, const Tensor& w, const Tensor& gradient, double lr) override;
  SgdStep adopted(const NamedTensors&, double lr, bool first) override { return {lr, first}; }
  LinearForm form(size_t i, const SgdStep& r) const override;
};

}  // namespace pathkernel
