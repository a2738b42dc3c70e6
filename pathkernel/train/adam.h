#pragma once

#include <pathkernel/train/per_parameter.h>

namespace pathkernel {

struct AdamStep { double lr, step_size, root_bc2; };

/// Adam (Kingma & Ba 2015; torch.optim.Adam, coupled decay) and AdamW (Loshchilov & Hutter 2019; decoupled decay), both also as
/// AMSGrad (Reddi, Kale & Kumar 2018). Theory 2.1:
///     u = g + ω w  (adam), g  (adamw);   m ← β1 m + (1−β1) u;   v ← β2 v + (1−β2) u²;   AMSGrad: V ← max(V, v), for v below
///     w ← (1 − η ω) w  (adamw);   w ← w − (η/bc1) m / (√v/√bc2 + ε),   bc = 1 − βᵗ
/// State: exp_avg (m), exp_avg_sq (v), max_exp_avg_sq (V, AMSGrad), step (t), each parameter its own.
class Adam : public PerParameter<AdamStep> {
 public:
  Adam(OptimizerSettings settings, const NamedTensors& parameters);

  Tensors memory() const override { return state_.or_zeros("exp_avg"); }

 protected:
  AdamStep update(size_t i, const Tensor& w, const Tensor& gradient, double lr) override;
  AdamStep adopted(const NamedTensors&, double lr, bool) override { return step_of(0, lr); }
  /// Cost: one pass over the weights (the diagonal D is made here, not in step()).
  LinearForm form(size_t i, const AdamStep& r) const override;

 private:
  AdamStep step_of(size_t i, double lr) const;  ///< by the state after it
  /// √v/√bc2 + ε of parameter i, with the roundings of the step.
  Tensor denominator(size_t i, const AdamStep& r) const;
};

}  // namespace pathkernel
