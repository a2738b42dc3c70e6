#pragma once

#include <pathkernel/core/tensors.h>
#include <pathkernel/train/linear_form.h>
#include <pathkernel/train/optimizer_settings.h>
#include <pathkernel/train/optimizer_state.h>

#include <cstdint>
#include <memory>
#include <vector>

namespace pathkernel {

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
  virtual NamedTensors state() const { return state_.named(); }
  /// Puts back a state read from a checkpoint (copied). @throws InvalidInput when a name or a shape does not fit.
  virtual void restore(const NamedTensors& state) { state_.restore(state); }
  /// Numbers kept between steps for each weight that was ever updated: what a checkpoint takes beside the weights.
  virtual int64_t numbers_per_weight() const { return state_.numbers_per_weight(); }

  /// For an optimizer of one parameter whose steps another implementation makes (torch.optim): takes over what that one keeps, live,
  /// and what linear_form() needs of its last step.
  /// @param state    by kind, after the step; empty: the parameter took no part   @param lr  of the step
  /// @param settings as they were at the step (a scheduler may change them)       @param first  it had no state before the step
  virtual void adopt(const OptimizerSettings& settings, const NamedTensors& state, double lr, bool updated, bool first);

  /// Settings of each group of parameters, where a program's own optimizer has such, as text that use_groups() understands; they are
  /// kept with every step at which they change. Empty: lr says all.
  virtual std::string groups() const { return {}; }
  virtual void use_groups(const std::string& /*groups*/) {}
  /// Of each parameter, by the groups last used; negative where a group climbs. Empty: the step's lr is everybody's.
  virtual std::vector<double> learning_rates() const { return {}; }

 protected:
  /// @param kinds  of state (OptimizerState)
  Optimizer(OptimizerSettings settings, std::vector<std::string> kinds, const NamedTensors& parameters)
      : settings_(std::move(settings)), state_(std::move(kinds), parameters) {}

  OptimizerSettings settings_;
  OptimizerState state_;
};

/// @param parameters  named, for their shapes and the names in state()
/// @throws InvalidInput for settings that validate() refuses.
std::unique_ptr<Optimizer> make_optimizer(const OptimizerSettings& settings, const NamedTensors& parameters);

}  // namespace pathkernel
