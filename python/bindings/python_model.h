#pragma once

#include <pathkernel/model/model.h>
#include <torch/csrc/utils/pybind.h>

namespace pathkernel::python {

/// A live torch.nn.Module as a Model: parameters that require grad and buffers by their Python names; forward calls the module.
class PythonModel : public Model {
 public:
  explicit PythonModel(pybind11::object module) : module_(std::move(module)) {}
  NamedTensors parameters() const override;
  NamedTensors buffers() const override;
  Tensors forward(const Tensors& inputs, Mode mode) override;

 private:
  pybind11::object module_;
};

/// Calls a Python function. An error the tape threw comes back from torch as RuntimeError; here it is InvalidInput again.
pybind11::object call(const pybind11::object& function, const pybind11::tuple& arguments);

}  // namespace pathkernel::python
