// Empirical tangent kernels, of a live module and along a recording.

#include <pathkernel/core/error.h>
#include <pathkernel/kernel/evolution.h>
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

py::list evolution_of(const std::string& folder, Parts& parts, const Tensors& inputs, const Tensor& targets, const std::vector<int64_t>& steps, int64_t count, int64_t memory,
                      const py::object& progress) {
  const EvolutionOptions options{steps, count, memory, progress_from(progress)};
  std::vector<KernelMoment> moments;
  {
    const py::gil_scoped_release no_gil;
    moments = kernel_evolution(Recording::open(folder), parts.learner, parts.data, inputs, targets, options);
  }
  py::list all;
  for (const KernelMoment& m : moments) {
    py::dict d;
    d["step"] = m.step, d["time"] = m.time, d["loss"] = m.loss, d["distance"] = m.distance, d["distance_to_previous"] = m.distance_to_previous, d["alignment"] = m.alignment;
    d["label_alignment"] = m.label_alignment, d["label_share"] = m.label_share, d["rank_entropy"] = m.ranks.entropy, d["rank_participation"] = m.ranks.participation;
    d["rank_stable"] = m.ranks.stable, d["velocity"] = m.velocity, d["change_of_kernel"] = m.change_of_kernel, d["change_of_loss"] = m.change_of_loss;
    d["lazy_ratio"] = m.lazy_ratio(), d["linearisation_error"] = m.linearisation_error;
    all.append(d);
  }
  return all;
}

}  // namespace

void init_tangent_kernel(py::module_& m) {
  m.def("tangent_kernel", &of_module, py::arg("parts"), py::arg("x"), py::arg("y"), py::arg("form"), py::arg("memory"), py::arg("progress") = py::none());
  m.def("tangent_kernel_at", &at_step, py::arg("folder"), py::arg("parts"), py::arg("step"), py::arg("x"), py::arg("y"), py::arg("form"), py::arg("memory"),
        py::arg("progress") = py::none());
  m.def("kernel_evolution", &evolution_of, py::arg("folder"), py::arg("parts"), py::arg("inputs"), py::arg("targets"), py::arg("steps"), py::arg("count"), py::arg("memory"),
        py::arg("progress") = py::none());
  m.def("path_kernel", &along_the_path, py::arg("folder"), py::arg("parts"), py::arg("every"), py::arg("x"), py::arg("y"), py::arg("form"), py::arg("memory"),
        py::arg("progress") = py::none());
}

}  // namespace pathkernel::python
