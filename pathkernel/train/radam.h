#pragma once

#include <pathkernel/train/per_parameter.h>

namespace pathkernel {

struct RAdamStep { bool rectified; double lr, bc1, root_bc2, rectification; };  ///< rectified: A is as below, else 1

/// Rectified Adam (Liu et al. 2020; torch.optim.RAdam). Theory 2.1's row of Adam with another diagonal:
///     u = g + ω w, or w ← (1 − ηω) w (decoupled);   m ← β1 m + (1−β1) u;   v ← β2 v + (1−β2) u²;   bc = 1 − βᵗ
///     ρ∞ = 2/(1−β2) − 1,   ρ = ρ∞ − 2t β2ᵗ/bc2;   w ← w − (η/bc1) m · A,
///     A = √bc2/(√v + ε) · √((ρ−4)(ρ−2)ρ∞ / ((ρ∞−4)(ρ∞−2)ρ))  where ρ > 5, else 1
/// State: exp_avg (m), exp_avg_sq (v), step (t), each parameter its own.
class RAdam : public PerParameter<RAdamStep> {
 public:
  RAdam(OptimizerSettings settings, const NamedTensors& parameters);

  Tensors memory() const override { return state_.or_zeros("exp_avg"); }

 protected:
  RAdamStep update(size_t i, const Tensor& w, const Tensor& gradient, double lr) override;
  RAdamStep adopted(const NamedTensors&, double lr, bool) override { return step_of(0, lr); }
  /// Cost: one pass over the weights.
  LinearForm form(size_t i, const RAdamStep& r) const override;

 private:
  RAdamStep step_of(size_t i, double lr) const;  ///< by the state after it
};

}  // namespace pathkernel
