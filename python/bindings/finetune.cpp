// A trained network fitted to another task in function space. What it is: pathkernel.machines.FineTunedRegressor.

#include <pathkernel/machine/trained_machine.h>

#include "parts.h"
#include "progress.h"

namespace py = pybind11;

namespace pathkernel::python {
namespace {

TrainedMachine finetuned(Parts& parts, const Tensors& inputs, const Tensor& targets, FinetuneOptions options, int64_t iterations, double tolerance, double jitter, int64_t memory,
                         const py::object& progress) {
  options.cg.iterations = iterations;
  options.cg.tolerance = tolerance;
  options.machine = {.largest_jitter = jitter, .memory = memory};
  options.progress = progress_from(progress);
  const py::gil_scoped_release no_gil;
  const Finetuned fit = finetune(parts.model, inputs, targets, options);
  TrainedMachine machine;
  machine.kind = "finetune";
  machine.network = KeptNetwork::of(parts.model);
  if (inputs.size() == 1) machine.inputs = inputs[0];
  machine.numbers = {{"prior", fit.prior}, {"residual", fit.residual}, {"iterations", static_cast<double>(fit.iterations)}, {"converged", fit.converged ? 1.0 : 0.0},
                     {"jitter", fit.factor.jitter}};
  if (!fit.classes) machine.numbers["noise"] = fit.noise;
  if (fit.exact()) machine.numbers["log_evidence"] = fit.log_evidence;
  else machine.numbers["unexplained"] = fit.unexplained;
  machine.fitted = fit;
  return machine;
}

}  // namespace

void init_finetune(py::module_& m) {
  m.def("finetune", [](Parts& parts, const Tensors& inputs, const Tensor& targets, const std::vector<double>& prior, const std::vector<double>& noise, bool from_network, int64_t classes,
                       bool matrix_free, int64_t rank, int64_t iterations, double tolerance, double jitter, int64_t memory, const py::object& progress) {
          return finetuned(parts, inputs, targets,
                           {.prior = prior, .noise = noise, .from_network = from_network, .classes = classes, .matrix_free = matrix_free, .rank = rank}, iterations, tolerance, jitter,
                           memory, progress);
        }, py::arg("parts"), py::arg("inputs"), py::arg("targets"), py::arg("prior"), py::arg("noise"), py::arg("from_network"), py::arg("classes"), py::arg("matrix_free"), py::arg("rank"),
        py::arg("iterations"), py::arg("tolerance"), py::arg("jitter"), py::arg("memory"), py::arg("progress") = py::none());
  m.def("predict_finetuned", [](const TrainedMachine& machine, Parts& parts, const Tensors& examples, const Tensors& x, bool variance, int64_t memory) {
          MachinePrediction p;
          {
            const py::gil_scoped_release no_gil;
            p = predict_finetuned(machine, parts.model, examples, x, variance, memory);
          }
          py::dict d;
          d["outputs"] = p.outputs, d["probability_error"] = p.probability_error;
          if (p.variance.defined()) d["variance"] = p.variance;
          if (p.probabilities.defined()) d["probabilities"] = p.probabilities, d["classes"] = p.classes;
          return d;
        }, py::arg("machine"), py::arg("parts"), py::arg("examples"), py::arg("x"), py::arg("variance"), py::arg("memory"));
}

}  // namespace pathkernel::python
