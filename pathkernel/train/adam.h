#pragma once

#include <pathkernel/train/optimizer.h>

namespace pathkernel {

/// Adam (Kingma & Ba 2015; torch.optim.Adam, coupled decay) and AdamW (Loshchilov & Hutter 2019; decoupled decay), both also as
/// AMSGrad (Reddi, Kale & Kumar 2018). Theory 2.1:
///     u = g + ω w  (adam), g  (adamw);   m ← β1 m + (1−β1) u;   v ← β2 v + (1−β2) u²;   AMSGrad: V ← max(V, v), for v below
///     w ← (1 − η ω) w  (adamw);   w ← w − (η/bc1) m / (√v/√bc2 + ε),   bc = 1 − βᵗ
/// State: exp_avg (m), exp_avg_sq (v), max_exp_avg_sq (V, AMSGrad), step (t), each parameter its own.
class Adam : public Optimizer {
 public:
  Adam(OptimizerSettings settings, const NamedTensors& parameters);

  void step(const Tensors& parameters, const Tensors& gradients, double lr) override;
  /// Cost: one pass over the weights (the diagonal D is made here, not in step()).
  std::vector<LinearForm> linear_form() const override;
  Tensors memory() const override { return state_.or_zeros("exp_avg"); }

 protected:
  void begin(size_t count) override { last_.assign(count, {}); }
  void note(size_t i, double lr, bool first) override;

 private:
  /// √v/√bc2 + ε of parameter i, with the roundings of the step.
  Tensor denominator(size_t i) const;

  /// Numbers of the last step, per parameter.
  struct Realised { bool updated = false; double lr = 0, step_size = 0, root_bc2 = 1; };
  std::vector<Realised> last_;
};

}  // namespace pathkernel
