#pragma once

#include <pathkernel/train/optimizer.h>

namespace pathkernel {

/// Rectified Adam (Liu et al. 2020; torch.optim.RAdam). Theory 2.1's row of Adam with another diagonal:
///     u = g + ω w, or w ← (1 − ηω) w (decoupled);   m ← β1 m + (1−β1) u;   v ← β2 v + (1−β2) u²;   bc = 1 − βᵗ
///     ρ∞ = 2/(1−β2) − 1,   ρ = ρ∞ − 2t β2ᵗ/bc2;   w ← w − (η/bc1) m · A,
///     A = √bc2/(√v + ε) · √((ρ−4)(ρ−2)ρ∞ / ((ρ∞−4)(ρ∞−2)ρ))  where ρ > 5, else 1
/// State: exp_avg (m), exp_avg_sq (v), step (t), each parameter its own.
class RAdam : public Optimizer {
 public:
  RAdam(OptimizerSettings settings, const NamedTensors& parameters);

  void step(const Tensors& parameters, const Tensors& gradients, double lr) override;
  /// Cost: one pass over the weights.
  std::vector<LinearForm> linear_form() const override;
  Tensors memory() const override { return state_.or_zeros("exp_avg"); }

 protected:
  void begin(size_t count) override { last_.assign(count, {}); }
  void note(size_t i, double lr, bool first) override;

 private:
  /// Numbers of the last step, per parameter; rectified: A is as above, else 1.
  struct Realised { bool updated = false, rectified = false; double lr = 0, bc1 = 1, root_bc2 = 1, rectification = 1; };
  std::vector<Realised> last_;
};

}  // namespace pathkernel
