#pragma once

#include <pathkernel/model/model.h>

#include "python_object.h"

namespace pathkernel::python {

/// A live torch.nn.Module as a Model: parameters that require grad by their Python names; frozen ones count as buffers. Parameters are
/// looked up once.
class PythonModel : public Model {
 public:
  /// @param forward  takes the flat inputs, gives a list of tensors; None: the module itself
  explicit PythonModel(pybind11::object module, pybind11::object forward = pybind11::none(), std::string specification = {});
  NamedTensors parameters() const override { return parameters_; }
  NamedTensors buffers() const override;
  Tensors forward(const Tensors& inputs, Mode mode) override;
  std::string specification() const override { return specification_; }

 private:
  PythonObject module_, forward_;
  std::string specification_;
  NamedTensors parameters_, frozen_;
};

}  // namespace pathkernel::python
