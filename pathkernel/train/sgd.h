#pragma once

#include <pathkernel/train/optimizer.h>
#include <pathkernel/train/optimizer_state.h>

namespace pathkernel {

/// Stochastic gradient descent with momentum μ, dampening τ, Nesterov's look-ahead and coupled weight decay ω
/// (torch.optim.SGD; theory 2.1, first three rows):
///     u = g + ω w;   m ← μ m + (1−τ) u  (m ← u at a parameter's first step);
///     w ← w − η u  (μ = 0),   w − η m,   or w − η (u + μ m)  (Nesterov)
/// State: momentum_buffer (m), when μ ≠ 0.
class Sgd : public Optimizer {
 public:
  Sgd(OptimizerSettings settings, const NamedTensors& parameters);

  void step(const Tensors& parameters, const Tensors& gradients, double lr) override;
  std::vector<LinearForm> linear_form() const override { return forms_; }
  Tensors memory() const override;
  NamedTensors state() const override { return state_.named(); }
  void restore(const NamedTensors& state) override { state_.restore(state); }

 private:
  NamedTensors parameters_;  ///< for shapes of memory not yet used
  OptimizerState state_;
  std::vector<LinearForm> forms_;
};

}  // namespace pathkernel
