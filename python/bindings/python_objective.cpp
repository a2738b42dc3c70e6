#include "python_objective.h"

namespace py = pybind11;

namespace pathkernel::python {

PythonObjective::PythonObjective(py::object loss) : loss_(loss), name_(loss.attr("name").cast<std::string>()) {}

Tensor PythonObjective::losses(const Tensors& outputs, const Tensor& targets) const {
  const py::gil_scoped_acquire gil;
  return call(loss_.attr("losses"), py::make_tuple(outputs, targets)).cast<Tensor>();
}

Tensor PythonObjective::weights(const Tensor& losses, const Tensor& targets, int64_t passes) const {
  const py::gil_scoped_acquire gil;
  return loss_.attr("weights")(losses.detach(), targets, passes).cast<Tensor>();
}

}  // namespace pathkernel::python
