#pragma once

#include <pathkernel/train/optimizer.h>

namespace pathkernel {

/// Adam with Nesterov's look-ahead (Dozat 2016; torch.optim.NAdam, momentum_decay ψ). Theory 2.1:
///     u = g + ω w, or w ← (1 − ηω) w (decoupled);   m ← β1 m + (1−β1) u;   v ← β2 v + (1−β2) u²
///     μ_t = β1 (1 − ½·0.96^{tψ}),   Π_t = Π_{r≤t} μ_r,   den = √(v/(1−β2ᵗ)) + ε
///     w ← w − η (1−μ_t)/(1−Π_t) u/den − η μ_{t+1}/(1−Π_t μ_{t+1}) m/den
/// State: exp_avg (m), exp_avg_sq (v), mu_product (Π, float32 as in torch), step (t), each parameter its own.
class NAdam : public Optimizer {
 public:
  NAdam(OptimizerSettings settings, const NamedTensors& parameters);

  void step(const Tensors& parameters, const Tensors& gradients, double lr) override;
  /// Cost: two passes over the weights.
  std::vector<LinearForm> linear_form() const override;
  Tensors memory() const override { return state_.or_zeros("exp_avg"); }

 protected:
  void begin(size_t count) override { last_.assign(count, {}); }
  void note(size_t i, double lr, bool first) override;

 private:
  double mu_at(double t) const;  ///< μ_t
  Tensor denominator(size_t i) const;

  /// Numbers of the last step, per parameter.
  struct Realised { bool updated = false; double lr = 0, bc2 = 1, of_u = 0, of_m = 0; };
  std::vector<Realised> last_;
};

}  // namespace pathkernel
