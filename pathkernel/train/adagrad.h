#pragma once

#include <pathkernel/train/optimizer.h>

namespace pathkernel {

/// Adagrad (Duchi, Hazan & Singer 2011; torch.optim.Adagrad). Theory 2.1, with t counting a parameter's steps from 1:
///     u = g + ω w;   v ← v + u²  (from initial_accumulator);   w ← w − η/(1 + (t−1)·lr_decay) u/(√v + ε)
/// State: sum (v), step (t), each parameter its own.
class Adagrad : public Optimizer {
 public:
  Adagrad(OptimizerSettings settings, const NamedTensors& parameters);

  void step(const Tensors& parameters, const Tensors& gradients, double lr) override;
  /// Cost: one pass over the weights.
  std::vector<LinearForm> linear_form() const override;
  Tensors memory() const override { return {}; }

 protected:
  void begin(size_t count) override { last_.assign(count, {}); }
  void note(size_t i, double lr, bool first) override;

 private:
  Tensor denominator(size_t i) const;

  struct Realised { bool updated = false; double lr = 0, decayed_lr = 0; };
  std::vector<Realised> last_;
};

}  // namespace pathkernel
