#pragma once

#include <pathkernel/train/optimizer.h>

#include <memory>

namespace pathkernel {

/// Clips gradients before another optimizer uses them, by norm, then by value, where both are set (theory 2.1: κ, M):
///     g ← κ g,  κ = min(1, clip_norm/(‖g‖ + 1e-6)) with the norm over all parameters   (torch.nn.utils.clip_grad_norm_)
///     g ← min(max(g, −clip_value), clip_value)                                         (torch.nn.utils.clip_grad_value_)
/// The gradients given to step() are left as they are. The other optimizer's linear forms get kappa, and M = clipped/raw elementwise
/// with raw the gradient already multiplied by κ.
class Clipped : public Optimizer {
 public:
  explicit Clipped(std::unique_ptr<Optimizer> inner);

  void step(const Tensors& parameters, const Tensors& gradients, double lr) override;
  std::vector<LinearForm> linear_form() const override;
  Tensors memory() const override { return inner_->memory(); }
  NamedTensors state() const override { return inner_->state(); }
  void restore(const NamedTensors& state) override { inner_->restore(state); }
  int64_t numbers_per_weight() const override { return inner_->numbers_per_weight(); }
  std::string groups() const override { return inner_->groups(); }
  void use_groups(const std::string& groups) override { inner_->use_groups(groups); }
  std::vector<double> learning_rates() const override { return inner_->learning_rates(); }

 private:
  std::unique_ptr<Optimizer> inner_;
  double kappa_ = 1;           ///< of the last step
  Tensors raw_, clipped_;      ///< of the last step, before and after clipping by value
};

}  // namespace pathkernel
