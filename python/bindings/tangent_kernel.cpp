// Empirical tangent kernels, of a live module and along a recording.

#include <pathkernel/core/error.h>
#include <pathkernel/kernel/path_kernel.h>
#include <pathkernel/record/recording.h>

#include "parts.h"
#include "progress.h"

namespace py = pybind11;

namespace pathkernel::python {
namespace {

TangentOptions options_from(const std::string& form, int64_t memory, const py::object& progress) {
  TangentOptions options;
  options.form = form == "full" ? TangentForm::full : form == "trace" ? TangentForm::trace : TangentForm::diagonal;
  options.memory = memory;
  options.progress = progress_from(progress);
  return options;
}

Tensor of_module(Parts& parts, const Tensors& x, const Tensors& y, const std::string& form, int64_t memory, const py::object& progress) {
  const TangentOptions options = options_from(form, memory, progress);
  const py::gil_scoped_release no_gil;
  return tangent_kernel(parts.model, x, y, options);
}

Tensor at_step(const std::string& folder, Parts& parts, int64_t step, const Tensors& x, const Tensors& y, const std::string& form, int64_t memory, const py::object& progress) {
  const TangentOptions options = options_from(form, memory, progress);
  const py::gil_scoped_release no_gil;
  return tangent_kernel_at(Recording::open(folder), parts.learner, parts.data, step, x, y, options);
}

Tensor along_the_path(const std::string& folder, Parts& parts, int64_t every, const Tensors& x, const Tensors& y, const std::string& form, int64_t memory,
                      const py::object& progress) {
  const PathKernelOptions options{options_from(form, memory, progress), every};
  const py::gil_scoped_release no_gil;
  return path_kernel(Recording::open(folder), parts.learner, parts.data, x, y, options);
}

}  // namespace

void init_tangent_kernel(py::module_& m) {
  m.def("tangent_kernel", &of_module, py::arg("parts"), py::arg("x"), py::arg("y"), py::arg("form"), py::arg("memory"), py::arg("progress") = py::none());
  m.def("tangent_kernel_at", &at_step, py::arg("folder"), py::arg("parts"), py::arg("step"), py::arg("x"), py::arg("y"), py::arg("form"), py::arg("memory"),
        py::arg("progress") = py::none());
  m.def("path_kernel", &along_the_path, py::arg("folder"), py::arg("parts"), py::arg("every"), py::arg("x"), py::arg("y"), py::arg("form"), py::arg("memory"),
        py::arg("progress") = py::none());
}

}  // namespace pathkernel::python
