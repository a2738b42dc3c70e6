#pragma once

#include <pathkernel/train/per_parameter.h>

namespace pathkernel {

struct NAdamStep { double lr, bc2, of_u, of_m; };

/// Adam with Nesterov's look-ahead (Dozat 2016; torch.optim.NAdam, momentum_decay ψ). Theory 2.1:
///     u = g + ω w, or w ← (1 − ηω) w (decoupled);   m ← β1 m + (1−β1) u;   v ← β2 v + (1−β2) u²
///     μ_t = β1 (1 − ½·0.96^{tψ}),   Π_t = Π_{r≤t} μ_r,   den = √(v/(1−β2ᵗ)) + ε
///     w ← w − η (1−μ_t)/(1−Π_t) u/den − η μ_{t+1}/(1−Π_t μ_{t+1}) m/den
/// State: exp_avg (m), exp_avg_sq (v), mu_product (Π, float32 as in torch), step (t), each parameter its own.
class NAdam : public PerParameter<NAdamStep> {
 public:
  NAdam(OptimizerSettings settings, const NamedTensors& parameters);

  Tensors memory() const override { return state_.or_zeros("exp_avg"); }

 protected:
  NAdamStep update(size_t i, const Tensor& w, const Tensor& gradient, double lr) override;
  NAdamStep adopted(const NamedTensors&, double lr, bool) override { return step_of(0, lr); }
  /// Cost: two passes over the weights.
  LinearForm form(size_t i, const NAdamStep& r) const override;

 private:
  NAdamStep step_of(size_t i, double lr) const;  ///< by the state after it
  double mu_at(double t) const;  ///< μ_t
  Tensor denominator(size_t i, const NAdamStep& r) const;
};

}  // namespace pathkernel
