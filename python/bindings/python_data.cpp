#include "python_data.h"

namespace py = pybind11;

namespace pathkernel::python {

PythonSource::PythonSource(py::object data)
    : data_(data), size_(static_cast<int64_t>(py::len(data))), fingerprint_(data.attr("fingerprint").cast<uint64_t>()) {}

Batch PythonSource::take(const Tensor& indices, uint64_t random_seed) const {
  const py::gil_scoped_acquire gil;
  const auto taken = data_.attr("take")(indices, random_seed).cast<std::pair<Tensors, Tensor>>();
  return {taken.first, taken.second, indices};
}

}  // namespace pathkernel::python
