#pragma once

#include <pathkernel/train/optimizer.h>

namespace pathkernel {

/// Adamax: Adam with the infinity norm (Kingma & Ba 2015, section 7.1; torch.optim.Adamax). Theory 2.1's row of Adam with another diagonal:
///     u = g + ω w;   m ← β1 m + (1−β1) u;   v ← max(β2 v, |u| + ε);   w ← w − η/(1−β1ᵗ) m/v
/// State: exp_avg (m), exp_inf (v), step (t), each parameter its own.
class Adamax : public Optimizer {
 public:
  Adamax(OptimizerSettings settings, const NamedTensors& parameters);

  void step(const Tensors& parameters, const Tensors& gradients, double lr) override;
  /// Cost: one pass over the weights.
  std::vector<LinearForm> linear_form() const override;
  Tensors memory() const override { return state_.or_zeros("exp_avg"); }

 protected:
  void begin(size_t count) override { last_.assign(count, {}); }
  void note(size_t i, double lr, bool first) override;

 private:
  struct Realised { bool updated = false; double lr = 0, step_size = 0; };
  std::vector<Realised> last_;
};

}  // namespace pathkernel
