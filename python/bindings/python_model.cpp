#include "python_model.h"

#include <pathkernel/tangent/coupled_batch.h>

namespace py = pybind11;

namespace pathkernel::python {

py::object call(const py::object& function, const py::tuple& arguments) {
  try {
    return function(*arguments);
  } catch (py::error_already_set& error) {
    const std::string text = py::str(error.value());
    if (error.matches(PyExc_RuntimeError) && text.rfind(CoupledBatch::mark, 0) == 0) throw CoupledBatch(text);
    if (error.matches(PyExc_RuntimeError) && text.rfind("the tape: ", 0) == 0) throw InvalidInput(text);
    throw;
  }
}

NamedTensors PythonModel::parameters() const {
  NamedTensors out;
  for (const py::handle& item : module_.attr("named_parameters")()) {
    const auto pair = item.cast<std::pair<std::string, at::Tensor>>();
    if (pair.second.requires_grad()) out.push_back({pair.first, pair.second});
  }
  return out;
}

NamedTensors PythonModel::buffers() const {
  NamedTensors out;
  for (const py::handle& item : module_.attr("named_buffers")()) {
    const auto pair = item.cast<std::pair<std::string, at::Tensor>>();
    out.push_back({pair.first, pair.second});
  }
  return out;
}

Tensors PythonModel::forward(const Tensors& inputs, Mode mode) {
  module_.attr("train")(mode == Mode::train);
  py::tuple arguments(inputs.size());
  for (size_t k = 0; k < inputs.size(); ++k) arguments[k] = py::cast(inputs[k]);
  const py::object result = call(module_, arguments);
  if (py::isinstance<py::tuple>(result) || py::isinstance<py::list>(result)) return result.cast<Tensors>();
  return {result.cast<at::Tensor>()};
}

}  // namespace pathkernel::python
