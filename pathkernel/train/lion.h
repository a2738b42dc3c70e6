#pragma once

#include <pathkernel/train/per_parameter.h>

namespace pathkernel {

struct LionStep { Tensor c; double lr; };

/// Lion (Chen et al. 2023, arXiv:2302.06675), decoupled decay. torch.optim has none; the order of operations is that of the authors'
/// own PyTorch code:
///     w ← (1 − ηω) w;   c = β1 m + (1−β1) g;   w ← w − η sign(c);   m ← β2 m + (1−β2) g
/// In theory 2.1's form, frozen at |c|: −η sign(c) = −(η/|c|) c, and c is read from the memory after the step,
///     c = a m + (1 − β1 − a (1−β2)) g,   a = β1/β2
/// Where c is small against its two terms, they cancel in the update, and each alone is large: D and E have no upper bound.
/// State: exp_avg (m).
class Lion : public PerParameter<LionStep> {
 public:
  Lion(OptimizerSettings settings, const NamedTensors& parameters);

  Tensors memory() const override { return state_.or_zeros("exp_avg"); }

 protected:
  LionStep update(size_t i, const Tensor& w, const Tensor& gradient, double lr) override;
  LionStep adopted(const NamedTensors& state, double lr, bool first) override;
  /// Cost: two passes over the weights.
  LinearForm form(size_t i, const LionStep& r) const override;
};

}  // namespace pathkernel
