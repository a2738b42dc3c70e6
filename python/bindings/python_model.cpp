#include "python_model.h"

#include <pathkernel/core/error.h>
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
    if (error.matches(PyExc_RuntimeError) && text.find("does not require grad and does not have a grad_fn") != std::string::npos) {
      throw InvalidInput("the tape: the model differentiates inside its forward pass (torch.autograd.grad, backward), and such a derivative cannot be followed along "
                         "the path; write it out as operations, or explain outputs that need none");
    }
    throw;
  }
}

PythonModel::PythonModel(py::object module, py::object forward, py::object set_mode, std::string specification)
    : module_(module), forward_(forward.is_none() ? module : std::move(forward)), set_mode_(set_mode.is_none() ? module.attr("train") : std::move(set_mode)),
      specification_(std::move(specification)) {
  for (const py::handle& item : module.attr("named_parameters")()) {
    const auto pair = item.cast<std::pair<std::string, at::Tensor>>();
    (pair.second.requires_grad() ? parameters_ : frozen_).push_back({pair.first, pair.second});
  }
}

NamedTensors PythonModel::buffers() const {
  const py::gil_scoped_acquire gil;
  NamedTensors out = frozen_;
  for (const py::handle& item : module_.attr("named_buffers")()) {
    const auto pair = item.cast<std::pair<std::string, at::Tensor>>();
    out.push_back({pair.first, pair.second});
  }
  return out;
}

Tensors PythonModel::forward(const Tensors& inputs, Mode mode) {
  const py::gil_scoped_acquire gil;
  (*set_mode_)(mode == Mode::train);
  py::tuple arguments(inputs.size());
  for (size_t k = 0; k < inputs.size(); ++k) arguments[k] = py::cast(inputs[k]);
  const py::object result = call(*forward_, arguments);
  if (py::isinstance<py::tuple>(result) || py::isinstance<py::list>(result)) return result.cast<Tensors>();
  return {result.cast<at::Tensor>()};
}

}  // namespace pathkernel::python
