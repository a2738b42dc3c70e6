#pragma once

#include <pathkernel/train/objective.h>

#include "python_object.h"

namespace pathkernel::python {

/// A live Python loss: an object with `name`, losses(outputs, targets) -> [n] and weights(losses, targets, passes) -> [n].
class PythonObjective : public Objective {
 public:
  explicit PythonObjective(pybind11::object loss);
  std::string name() const override { return name_; }
  Tensor losses(const Tensors& outputs, const Tensor& targets) const override;
  Tensor weights(const Tensor& losses, const Tensor& targets, int64_t passes) const override;
  void check(const Dataset&) const override {}  // its first batch shows whether it can read the targets
  std::string targets() const override { return "auto"; }

 private:
  PythonObject loss_;
  std::string name_;
};

}  // namespace pathkernel::python
