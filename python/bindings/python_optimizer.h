#pragma once

#include <pathkernel/train/optimizer.h>

#include "python_object.h"

namespace pathkernel::python {

/// A live torch.optim.Optimizer, behind an object of pathkernel.optimizers: it makes the steps itself, and its linear form is read from
/// its settings and state afterwards by the C++ optimizer of the same kind (theory 2.1), one for each parameter.
class PythonOptimizer : public Optimizer {
 public:
  /// @param clip_norm, clip_value  as in OptimizerSettings, for whoever wraps it
  PythonOptimizer(pybind11::object optimizer, const NamedTensors& parameters, OptimizerSettings settings);

  void step(const Tensors& parameters, const Tensors& gradients, double lr) override;
  std::vector<LinearForm> linear_form() const override;
  Tensors memory() const override;
  NamedTensors state() const override;
  void restore(const NamedTensors& state) override;
  int64_t numbers_per_weight() const override;
  std::string groups() const override;
  void use_groups(const std::string& groups) override;
  std::vector<double> learning_rates() const override;

 private:
  void read_last_step() const;

  PythonObject optimizer_;
  NamedTensors parameters_;
  mutable std::vector<std::unique_ptr<Optimizer>> twins_;  ///< one for each parameter
  mutable std::vector<double> sign_;                       ///< −1 where a group maximises
  mutable bool read_ = false;                              ///< the twins know the last step
};

/// From Python's names and values. @throws InvalidInput for a name that is none of OptimizerSettings
OptimizerSettings settings_from(const pybind11::dict& values);

}  // namespace pathkernel::python
