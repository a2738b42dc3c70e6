#pragma once

#include <pathkernel/train/optimizer.h>

namespace pathkernel {

/// Stochastic gradient descent with momentum μ, dampening τ, Nesterov's look-ahead and coupled weight decay ω
/// (torch.optim.SGD; theory 2.1, first three rows):
///     u = g + ω w;   m ← μ m + (1−τ) u  (m ← u at a parameter's first step);
///     w ← w − η u  (μ = 0),   w − η m,   or w − η (u + μ m)  (Nesterov)
/// Decoupled (SGDW, Loshchilov & Hutter 2019; torch has none): u = g, and w ← (1 − ηω) w first, as AdamW does it.
/// State: momentum_buffer (m), when μ ≠ 0.
class Sgd : public Optimizer {
 public:
  Sgd(OptimizerSettings settings, const NamedTensors& parameters);

  void step(const Tensors& parameters, const Tensors& gradients, double lr) override;
  std::vector<LinearForm> linear_form() const override { return forms_; }
  Tensors memory() const override { return settings_.momentum == 0 ? Tensors() : state_.or_zeros("momentum_buffer"); }

 protected:
  void begin(size_t count) override { forms_.assign(count, unchanged()); }
  void note(size_t i, double lr, bool first) override;

 private:
  std::vector<LinearForm> forms_;
};

}  // namespace pathkernel
