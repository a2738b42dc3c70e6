#pragma once

#include <pathkernel/model/model.h>

#include "python_object.h"

namespace pathkernel::python {

/// A live torch.nn.Module as a Model: parameters that require grad by their Python names; frozen ones count as buffers. Parameters are
/// looked up once.
class PythonModel : public Model {
 public:
  /// @param forward   takes the flat inputs, gives a list of tensors; None: the module itself
  /// @param set_mode  sets the module and what is in it to train (True) or eval mode; None: the module's own train()
  explicit PythonModel(pybind11::object module, pybind11::object forward = pybind11::none(), pybind11::object set_mode = pybind11::none(), std::string specification = {});
  NamedTensors parameters() const override { return parameters_; }
  NamedTensors buffers() const override;
  Tensors forward(const Tensors& inputs, Mode mode) override;
  std::string specification() const override { return specification_; }

 private:
  PythonObject module_, forward_, set_mode_;
  std::string specification_;
  NamedTensors parameters_, frozen_;
};

}  // namespace pathkernel::python
