#include "python_measurement.h"

namespace py = pybind11;

namespace pathkernel::python {

void PythonMeasurement::prepare(const Tensors& outputs, const Tensor& targets) {
  const py::gil_scoped_acquire gil;
  const py::object known = targets.defined() ? py::cast(targets) : py::none();
  per_input_ = measurement_.attr("prepare")(inputs_, outputs, known).cast<int64_t>();
}

Tensor PythonMeasurement::values(const Tensors& outputs) const {
  const py::gil_scoped_acquire gil;
  return call(measurement_.attr("values"), py::make_tuple(outputs)).cast<Tensor>();
}

std::string PythonMeasurement::describe(int64_t input, int64_t k) const {
  const py::gil_scoped_acquire gil;
  return measurement_.attr("describe")(input, k).cast<std::string>();
}

}  // namespace pathkernel::python
