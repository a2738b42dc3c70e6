// How a recorded network moved: fidelity of kernels to it, its Taylor polynomials.

#include <pathkernel/kernel/fidelity.h>
#include <pathkernel/kernel/taylorised.h>
#include <pathkernel/record/recording.h>

#include "parts.h"
#include "progress.h"

namespace py = pybind11;

namespace pathkernel::python {
namespace {

py::dict fidelity_of(const std::string& folder, Parts& parts, const Tensors& queries, int64_t memory, const py::object& progress) {
  const FidelityOptions options{memory, progress_from(progress)};
  Fidelity found;
  {
    const py::gil_scoped_release no_gil;
    found = fidelity(Recording::open(folder), parts.learner, parts.data, queries, options);
  }
  py::list kernels;
  for (const KernelFidelity& k : found.kernels) {
    py::dict d;
    d["kernel"] = k.kernel, d["tautology"] = k.tautology, d["spread"] = k.spread, d["time_mean"] = k.time_mean, d["least_squares"] = k.least_squares, d["negative"] = k.negative;
    kernels.append(d);
  }
  py::dict d;
  d["queries"] = found.queries, d["examples"] = found.examples, d["outputs"] = found.outputs, d["steps"] = found.steps, d["flow"] = found.flow, d["kernels"] = kernels;
  return d;
}

py::dict taylorised_of(const std::string& folder, Parts& parts, const Tensors& inputs, const Tensor& targets, int64_t order, const std::vector<int64_t>& steps, int64_t count,
                       const py::object& progress) {
  const TaylorisedOptions options{order, steps, count, progress_from(progress)};
  Taylorised found;
  {
    const py::gil_scoped_release no_gil;
    found = taylorised(Recording::open(folder), parts.learner, parts.data, inputs, targets, options);
  }
  py::list moments;
  for (const TaylorMoment& m : found.moments) {
    py::dict d;
    d["step"] = m.step, d["loss"] = m.loss, d["taylor_loss"] = m.taylor_loss, d["accuracy"] = m.accuracy, d["taylor_accuracy"] = m.taylor_accuracy, d["agreement"] = m.agreement;
    d["distance"] = m.distance, d["weight_distance"] = m.weight_distance;
    moments.append(d);
  }
  py::dict d;
  d["order"] = found.order, d["moments"] = moments, d["diverged"] = found.diverged, d["outputs"] = found.outputs, d["taylor_outputs"] = found.taylor_outputs;
  return d;
}

}  // namespace

void init_dynamics(py::module_& m) {
  m.def("fidelity", &fidelity_of, py::arg("folder"), py::arg("parts"), py::arg("queries"), py::arg("memory"), py::arg("progress") = py::none());
  m.def("taylorised", &taylorised_of, py::arg("folder"), py::arg("parts"), py::arg("inputs"), py::arg("targets"), py::arg("order"), py::arg("steps"), py::arg("count"),
        py::arg("progress") = py::none());
}

}  // namespace pathkernel::python
