#pragma once

#include <pathkernel/core/error.h>
#include <pathkernel/train/optimizer.h>

#include <optional>
#include <string>
#include <vector>

namespace pathkernel {

/// An optimizer that moves each parameter by its own gradient and state, as every one here does: it says what a step does to one.
/// @tparam Realised  what the form of a step needs and the state after it does not say
template <class Realised>
class PerParameter : public Optimizer {
 public:
  void step(const Tensors& parameters, const Tensors& gradients, double lr) final {
    last_.assign(parameters.size(), std::nullopt);
    for (size_t i = 0; i < parameters.size(); ++i) {
      if (gradients[i].defined()) last_[i] = update(i, parameters[i], gradients[i], lr);
    }
  }

  std::vector<LinearForm> linear_form() const final {
    std::vector<LinearForm> forms;
    for (size_t i = 0; i < last_.size(); ++i) forms.push_back(last_[i] ? form(i, *last_[i]) : unchanged());
    return forms;
  }

  void adopt(const OptimizerSettings& settings, const NamedTensors& state, double lr, bool updated, bool first) final {
    settings_ = settings;
    state_.adopt(0, state);
    last_.assign(1, std::nullopt);
    if (updated) last_[0] = adopted(state, lr, first);
  }

 protected:
  using Optimizer::Optimizer;

  static Tensor tensor_named(const NamedTensors& state, const char* name) {
    for (const NamedTensor& t : state)
      if (t.name == name) return t.tensor;
    throw InvariantViolated(std::string("optimizer: the state taken over has no '") + name + "'");
  }

  /// Parameter i's step, in place.
  virtual Realised update(size_t i, const Tensor& w, const Tensor& gradient, double lr) = 0;
  /// What update() would return of a step that another implementation made of parameter 0.
  /// @param state  by kind, after the step; state_ has it already   @param first  it had none before
  virtual Realised adopted(const NamedTensors& state, double lr, bool first) = 0;
  /// The coefficients of parameter i's last step.
  virtual LinearForm form(size_t i, const Realised& r) const = 0;

 private:
  /// Δ = 0, m ← m: a parameter that took no part in a step.
  static LinearForm unchanged() {
    LinearForm form;
    form.mu = 1;
    return form;
  }

  std::vector<std::optional<Realised>> last_;  ///< per parameter; nothing: it took no part in the last step
};

}  // namespace pathkernel
