#pragma once

#include <pathkernel/core/tensors.h>
#include <pathkernel/train/linear_form.h>

#include <memory>
#include <string>
#include <vector>

namespace pathkernel {

/// What the command line or a manifest says of an optimizer.
struct OptimizerSettings {
  std::string name = "sgd";   ///< sgd | adam | adamw
  double lr = 0.01;
  double momentum = 0;        ///< sgd
  double dampening = 0;       ///< sgd; the first step is undamped, as in torch
  bool nesterov = false;      ///< sgd
  double beta1 = 0.9, beta2 = 0.999, eps = 1e-8;  ///< adam, adamw
  double weight_decay = 0;    ///< coupled for sgd and adam, decoupled for adamw
  std::string schedule = "constant";  ///< constant | cosine (to zero over the whole run)
};

/// An optimizer as a linear recurrence. Does the same operations in the same order as torch.optim's single-tensor path, so
/// that weights agree to the last bit, and states after each step the coefficients of theory 2.1 that it realised.
class Optimizer {
 public:
  virtual ~Optimizer() = default;
  const OptimizerSettings& settings() const { return settings_; }

  /// One update of `parameters` in place.  @param lr  this step's learning rate
  /// A parameter whose gradient is undefined took no part in the step and is left alone, with its state (as in torch.optim).
  virtual void step(const Tensors& parameters, const Tensors& gradients, double lr) = 0;

  /// The realised coefficients of the last step, one per parameter; diagonals in float64. Valid until the next step.
  virtual std::vector<LinearForm> linear_form() const = 0;

  /// m after the last step, one per parameter: the memory of the recurrence. Empty when the optimizer has none.
  virtual Tensors memory() const = 0;

  /// Everything a later step depends on, by name ("exp_avg/conv1.weight", "step/conv1.weight"), live. A parameter that was
  /// never updated has no entry; the number of steps taken is kept per parameter, as torch.optim keeps it.
  virtual NamedTensors state() const = 0;
  /// Puts back a state read from a checkpoint (copied). @throws InvalidInput when a name or a shape does not fit.
  virtual void restore(const NamedTensors& state) = 0;

 protected:
  explicit Optimizer(OptimizerSettings settings) : settings_(std::move(settings)) {}
  /// Δ = 0, m ← m: a parameter that took no part in a step.
  static LinearForm unchanged() {
    LinearForm form;
    form.mu = 1;
    return form;
  }

  OptimizerSettings settings_;
};

/// @param parameters  named, for their shapes and the names in state()
/// @throws InvalidInput for an unknown name, or settings torch.optim would refuse (nesterov without momentum, negative lr …)
std::unique_ptr<Optimizer> make_optimizer(const OptimizerSettings& settings, const NamedTensors& parameters);

/// lr of step s of T.
double learning_rate(const OptimizerSettings& settings, int64_t step, int64_t steps);

}  // namespace pathkernel
