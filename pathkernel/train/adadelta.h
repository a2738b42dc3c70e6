#pragma once

#include <pathkernel/train/per_parameter.h>

namespace pathkernel {

struct AdadeltaStep { double lr; Tensor delta_before; };  ///< a before the step

/// Adadelta (Zeiler 2012; torch.optim.Adadelta). Theory 2.1 with ρ (OptimizerSettings::alpha):
///     u = g + ω w;   v ← ρ v + (1−ρ) u²;   δ = √(a + ε)/√(v + ε) · u;   a ← ρ a + (1−ρ) δ²;   w ← w − η δ
/// so that E = η √(a + ε)/√(v + ε), with a from before the step.
/// State: square_avg (v), acc_delta (a), step, each parameter its own.
class Adadelta : public PerParameter<AdadeltaStep> {
 public:
  Adadelta(OptimizerSettings settings, const NamedTensors& parameters);

  Tensors memory() const override { return {}; }

 protected:
  AdadeltaStep update(size_t i, const Tensor& w, const Tensor& gradient, double lr) override;
  /// @param state  also has `acc_delta_before`, a before the step
  AdadeltaStep adopted(const NamedTensors& state, double lr, bool first) override;
  /// Cost: one pass over the weights.
  LinearForm form(size_t i, const AdadeltaStep& r) const override;
};

}  // namespace pathkernel
