#pragma once

#include <pathkernel/train/per_parameter.h>

namespace pathkernel {

struct AdamaxStep { double lr, step_size; };

/// Adamax: Adam with the infinity norm (Kingma & Ba 2015, section 7.1; torch.optim.Adamax). Theory 2.1's row of Adam with another diagonal:
///     u = g + ω w;   m ← β1 m + (1−β1) u;   v ← max(β2 v, |u| + ε);   w ← w − η/(1−β1ᵗ) m/v
/// State: exp_avg (m), exp_inf (v), step (t), each parameter its own.
class Adamax : public PerParameter<AdamaxStep> {
 public:
  Adamax(OptimizerSettings settings, const NamedTensors& parameters);

  Tensors memory() const override { return state_.or_zeros("exp_avg"); }

 protected:
  AdamaxStep update(size_t i, const Tensor& w, const Tensor& gradient, double lr) override;
  AdamaxStep adopted(const NamedTensors&, double lr, bool) override { return step_of(0, lr); }
  /// Cost: one pass over the weights.
  LinearForm form(size_t i, const AdamaxStep& r) const override;

 private:
  AdamaxStep step_of(size_t i, double lr) const;  ///< by the state after it
};

}  // namespace pathkernel
