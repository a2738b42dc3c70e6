#pragma once

#include <pathkernel/train/optimizer.h>

namespace pathkernel {

/// Adadelta (Zeiler 2012; torch.optim.Adadelta). Theory 2.1 with ρ (OptimizerSettings::alpha):
///     u = g + ω w;   v ← ρ v + (1−ρ) u²;   δ = √(a + ε)/√(v + ε) · u;   a ← ρ a + (1−ρ) δ²;   w ← w − η δ
/// so that E = η √(a + ε)/√(v + ε), with a from before the step.
/// State: square_avg (v), acc_delta (a), step, each parameter its own.
class Adadelta : public Optimizer {
 public:
  Adadelta(OptimizerSettings settings, const NamedTensors& parameters);

  void step(const Tensors& parameters, const Tensors& gradients, double lr) override;
  /// Cost: one pass over the weights.
  std::vector<LinearForm> linear_form() const override;
  Tensors memory() const override { return {}; }
 protected:
  void adopt_state(const NamedTensors& by_kind) override;
  void begin(size_t count) override { last_.assign(count, {}); }
  void note(size_t i, double lr, bool first) override;

 private:
  struct Realised { double lr = 0; Tensor delta_before; };  ///< a before the step; undefined: the parameter took no part
  std::vector<Realised> last_;
};

}  // namespace pathkernel
