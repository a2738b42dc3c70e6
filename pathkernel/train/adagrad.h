#pragma once

#include <pathkernel/train/per_parameter.h>

namespace pathkernel {

struct AdagradStep { double lr, decayed_lr; };

/// Adagrad (Duchi, Hazan & Singer 2011; torch.optim.Adagrad). Theory 2.1, with t counting a parameter's steps from 1:
///     u = g + ω w;   v ← v + u²  (from initial_accumulator);   w ← w − η/(1 + (t−1)·lr_decay) u/(√v + ε)
/// State: sum (v), step (t), each parameter its own.
class Adagrad : public PerParameter<AdagradStep> {
 public:
  Adagrad(OptimizerSettings settings, const NamedTensors& parameters);

  Tensors memory() const override { return {}; }

 protected:
  AdagradStep update(size_t i, const Tensor& w, const Tensor& gradient, double lr) override;
  AdagradStep adopted(const NamedTensors&, double lr, bool) override { return step_of(0, lr); }
  /// Cost: one pass over the weights.
  LinearForm form(size_t i, const AdagradStep& r) const override;

 private:
  AdagradStep step_of(size_t i, double lr) const;  ///< by the state after it
  Tensor denominator(size_t i) const;
};

}  // namespace pathkernel
