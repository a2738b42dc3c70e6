// Machines on Gram matrices: fitted, asked, kept. What each is: pathkernel.machines.

#include <pathkernel/core/error.h>
#include <pathkernel/machine/conjugate_gradients.h>
#include <pathkernel/machine/evidence.h>
#include <pathkernel/machine/machine_file.h>
#include <pathkernel/machine/ridge.h>

#include "progress.h"

namespace py = pybind11;

namespace pathkernel::python {
namespace {

constexpr auto released = py::call_guard<py::gil_scoped_release>();

template <class T>
const T& as(const TrainedMachine& m, const char* what) {
  if (const T* fitted = std::get_if<T>(&m.fitted)) return *fitted;
  throw InvalidInput(std::string("machine: ") + what + " were asked of a " + m.kind + ", which has none");
}

TrainedMachine made(TrainedMachine::Fitted fitted, std::map<std::string, double> numbers) {
  TrainedMachine m;
  m.fitted = std::move(fitted);
  m.numbers = std::move(numbers);
  return m;
}

void put(py::dict& d, const char* name, const Tensor& t) {
  if (t.defined()) d[name] = t;
}

/// What the machine consists of, by the names that docs/machines.md gives the tensors in a file.
struct PartsOfMachine {
  py::dict d;

  void operator()(const KernelExpansion& m) { put(d, "alpha", m.alpha); }
  void operator()(const GaussianProcess& m) { put(d, "alpha", m.alpha), put(d, "factor", m.factor.L), d["noise"] = m.noise, d["log_evidence"] = m.log_evidence; }
  void operator()(const LaplaceBinary& m) { put(d, "mode", m.mode), put(d, "gradient", m.gradient), d["log_evidence"] = m.log_evidence; }
  void operator()(const LaplaceMulticlass& m) { put(d, "mode", m.mode), put(d, "gradient", m.gradient), d["log_evidence"] = m.log_evidence; }
  void operator()(const Svm& m) {
    put(d, "support", m.support), put(d, "per_class", m.per_class), put(d, "coefficients", m.coefficients), put(d, "rho", m.rho), put(d, "sigmoids", m.sigmoids);
    put(d, "gap", m.gap);
  }
  void operator()(const KernelPca& m) { put(d, "directions", m.directions), put(d, "variances", m.variances), put(d, "explained", m.explained); }
  void operator()(const Finetuned& m) {
    put(d, "alpha", m.alpha), put(d, "change", m.change), put(d, "mean", m.offset), d["exact"] = m.exact(), d["classes"] = m.classes, d["from_network"] = m.from_network;
  }
  void operator()(const FourierExpansion& m) { put(d, "weights", m.weights), d["directions"] = m.directions, d["seed"] = m.seed; }
};

py::dict parts_of(const TrainedMachine& m) {
  PartsOfMachine parts;
  std::visit(parts, m.fitted);
  return parts.d;
}

py::dict dict_of(const MachinePrediction& p) {
  py::dict d;
  put(d, "outputs", p.outputs), put(d, "classes", p.classes), put(d, "variance", p.variance), put(d, "probabilities", p.probabilities);
  d["probability_error"] = p.probability_error;
  return d;
}

void add_machine(py::module_& m) {
  const auto optional_tensor = [](Tensor TrainedMachine::* field) {
    return [field](const TrainedMachine& machine) -> py::object { return (machine.*field).defined() ? py::cast(machine.*field) : py::none(); };
  };
  py::class_<TrainedMachine>(m, "Machine", "a fitted machine with its kernel, examples and classes: what a folder keeps")
      .def_readwrite("kind", &TrainedMachine::kind)
      .def_property_readonly("type", [](const TrainedMachine& t) { return TrainedMachine::type_of(t.fitted); })
      .def_readwrite("kernel", &TrainedMachine::kernel)
      .def_readwrite("classes", &TrainedMachine::classes)
      .def_readwrite("numbers", &TrainedMachine::numbers)
      .def_property("inputs", optional_tensor(&TrainedMachine::inputs), [](TrainedMachine& t, const Tensor& x) { t.inputs = x; })
      .def_property("offset", optional_tensor(&TrainedMachine::offset), [](TrainedMachine& t, const Tensor& x) { t.offset = x; })
      .def_property_readonly("network", [](const TrainedMachine& t) -> py::object {
        if (!t.network) return py::none();
        py::dict tensors;
        for (const NamedTensors* list : {&t.network->parameters, &t.network->buffers})
          for (const auto& [name, tensor] : *list) tensors[py::str(name)] = tensor;
        return py::make_tuple(t.network->specification, tensors);
      }, "(specification, {name: tensor}) of the network whose tangent kernel it has; None without")
      .def_property_readonly("columns", &TrainedMachine::columns)
      .def_property_readonly("wants_diagonal", &TrainedMachine::wants_diagonal)
      .def_property_readonly("parts", &parts_of)
      .def("predict", [](const TrainedMachine& t, const Tensor& K_x, const std::optional<Tensor>& k_xx) {
             MachinePrediction p;
             {
               const py::gil_scoped_release no_gil;
               p = predict(t, K_x, k_xx.value_or(Tensor()));
             }
             return dict_of(p);
           }, py::arg("K_x"), py::arg("k_xx") = py::none())
      .def("predict_inputs", [](const TrainedMachine& t, const Tensor& x, int64_t memory) {
             const Progress told = progress_from(py::none());
             MachinePrediction p;
             {
               const py::gil_scoped_release no_gil;
               p = predict_inputs(t, x, memory, told);
             }
             return dict_of(p);
           }, py::arg("x"), py::arg("memory"))
      .def("covariance", [](const TrainedMachine& t, const Tensor& K_x, const Tensor& K_xx) { return as<GaussianProcess>(t, "covariances").covariance(K_x, K_xx); }, py::arg("K_x"),
           py::arg("K_xx"), released)
      .def("save", [](const TrainedMachine& t, const std::string& folder) { save_machine(folder, t); }, py::arg("folder"), released);
  m.def("load_machine", &load_machine, py::arg("folder"), released);
}

/// {leave_one_out, lambdas, errors} besides the machine of the smallest error.
std::pair<TrainedMachine, py::dict> ridge_of(const Tensor& K, const Tensor& y, const std::vector<double>& lambdas, double jitter, int64_t memory) {
  const MachineOptions options{.largest_jitter = jitter, .memory = memory};
  py::dict d;
  if (lambdas.size() == 1) {
    KernelRidge ridge;
    {
      const py::gil_scoped_release no_gil;
      ridge = fit_ridge(K, y, lambdas[0], options);
    }
    put(d, "leave_one_out", ridge.leave_one_out);
    return {made(KernelExpansion{ridge.alpha}, {{"lambda", lambdas[0]}, {"jitter", ridge.factor.jitter}}), d};
  }
  RidgePath path;
  {
    const py::gil_scoped_release no_gil;
    path = ridge_path(K, y, lambdas, options);
  }
  put(d, "leave_one_out", path.leave_one_out[path.best]), put(d, "errors", path.error);
  return {made(KernelExpansion{path.alpha[path.best].clone()}, {{"lambda", path.lambdas[static_cast<size_t>(path.best)]}}), d};
}

TrainedMachine ridge_by_cg(const Kernel& kernel, const Tensor& x, const Tensor& y, double lambda, int64_t rank, int64_t iterations, double tolerance, int64_t memory,
                           const py::object& progress) {
  const CgOptions cg{.iterations = iterations, .tolerance = tolerance, .progress = progress_from(progress)};
  const py::gil_scoped_release no_gil;
  const RidgeByCg ridge = fit_ridge_by_cg(kernel, x, y, lambda, rank, cg, {.memory = memory});
  return made(KernelExpansion{ridge.alpha}, {{"lambda", lambda}, {"residual", ridge.solution.residual.max().item<double>()},
                                             {"iterations", static_cast<double>(ridge.solution.iterations)}, {"converged", ridge.solution.converged ? 1.0 : 0.0}});
}

TrainedMachine nystrom_of(const Kernel& kernel, const Tensor& x, const Tensor& y, double lambda, int64_t landmarks, uint64_t seed, double jitter, int64_t memory,
                          const py::object& progress) {
  const Progress told = progress_from(progress);
  const py::gil_scoped_release no_gil;
  const Nystrom ridge = fit_nystrom(kernel, x, y, lambda, std::min(landmarks, x.size(0)), seed, {.largest_jitter = jitter, .memory = memory}, told);
  TrainedMachine machine = made(KernelExpansion{ridge.alpha}, {{"lambda", lambda}, {"unexplained", ridge.unexplained}, {"rank", static_cast<double>(ridge.rank)}});
  machine.inputs = x.index_select(0, ridge.landmarks);
  return machine;
}

TrainedMachine random_feature_ridge(const Kernel& kernel, const Tensor& x, const Tensor& y, double lambda, int64_t directions, uint64_t seed, double jitter, int64_t memory,
                                    const py::object& progress) {
  const Progress told = progress_from(progress);
  const py::gil_scoped_release no_gil;
  const int64_t inputs = x.numel() / x.size(0);
  const RandomFeatureRidge ridge =
      fit_random_features(fourier_features_of(kernel, inputs, directions, seed), x, y, lambda, {.largest_jitter = jitter, .memory = memory}, told);
  TrainedMachine machine = made(FourierExpansion{ridge.weights, inputs, directions, seed}, {{"lambda", lambda}, {"kernel_error", ridge.kernel_error}});
  machine.inputs = x.narrow(0, 0, 0);
  return machine;
}

void add_ridge(py::module_& m) {
  m.def("fit_ridge", &ridge_of, py::arg("K"), py::arg("y"), py::arg("lambdas"), py::arg("jitter"), py::arg("memory"));
  m.def("ridge_removals", [](const Tensor& K, const Tensor& y, double lambda, const Tensor& K_x, double jitter, int64_t memory) {
          return fit_ridge(K, y, lambda, {.largest_jitter = jitter, .memory = memory}).removals(K_x);
        }, py::arg("K"), py::arg("y"), py::arg("lambda_"), py::arg("K_x"), py::arg("jitter"), py::arg("memory"), released);
  m.def("fit_ridge_by_cg", &ridge_by_cg, py::arg("kernel"), py::arg("x"), py::arg("y"), py::arg("lambda_"), py::arg("rank"), py::arg("iterations"), py::arg("tolerance"),
        py::arg("memory"), py::arg("progress") = py::none());
  m.def("fit_nystrom", &nystrom_of, py::arg("kernel"), py::arg("x"), py::arg("y"), py::arg("lambda_"), py::arg("landmarks"), py::arg("seed"), py::arg("jitter"), py::arg("memory"),
        py::arg("progress") = py::none());
  m.def("fit_random_features", &random_feature_ridge, py::arg("kernel"), py::arg("x"), py::arg("y"), py::arg("lambda_"), py::arg("directions"), py::arg("seed"), py::arg("jitter"),
        py::arg("memory"), py::arg("progress") = py::none());
}

TrainedMachine gaussian_process_of(const Tensor& K, const Tensor& y, double noise, double jitter, int64_t memory) {
  const GaussianProcess gp = fit_gaussian_process(K, y, noise, {.largest_jitter = jitter, .memory = memory});
  return made(gp, {{"noise", noise}, {"log_evidence", gp.log_evidence}, {"jitter", gp.factor.jitter}});
}

py::dict searched(const HyperparameterFit& fit) {
  py::dict d;
  const HyperparameterFit::Start& best = fit.starts[static_cast<size_t>(fit.best)];
  d["noise"] = fit.noise, d["log_evidence"] = fit.log_evidence, d["converged"] = best.converged, d["largest_slope"] = best.largest_slope;
  d["starts"] = fit.starts.size(), d["without_evidence"] = fit.without_evidence, d["at_bound"] = fit.at_bound, d["text"] = fit.brief();
  return d;
}

/// Changes the kernel's hyper-parameters to the best.
py::dict search(Kernel& kernel, const Tensor& x, const Tensor& y, double noise, int64_t restarts, std::vector<std::string> fixed, uint64_t seed, double jitter, int64_t memory,
                const py::object& progress) {
  HyperparameterSearch options;
  options.restarts = restarts;
  options.seed = seed;
  options.fit_noise = std::erase(fixed, "noise") == 0;
  options.fixed = std::move(fixed);
  options.machine = {.largest_jitter = jitter, .memory = memory};
  options.progress = progress_from(progress);
  HyperparameterFit fit;
  {
    const py::gil_scoped_release no_gil;
    fit = fit_hyperparameters(kernel, x, y, noise, options);
  }
  return searched(fit);
}

TrainedMachine laplace_of(const Tensor& K, const Tensor& labels, int64_t classes, double jitter, int64_t memory) {
  LaplaceOptions options;
  options.machine = {.largest_jitter = jitter, .memory = memory};
  const auto from = [](const auto& fit) {
    return made(fit, {{"log_evidence", fit.log_evidence}, {"iterations", static_cast<double>(fit.iterations)}, {"converged", fit.converged ? 1.0 : 0.0}, {"jitter", fit.factor.jitter}});
  };
  return classes == 2 ? from(fit_laplace_binary(K, labels, options)) : from(fit_laplace_multiclass(K, labels, classes, options));
}

void add_gaussian_processes(py::module_& m) {
  m.def("fit_gaussian_process", &gaussian_process_of, py::arg("K"), py::arg("y"), py::arg("noise"), py::arg("jitter"), py::arg("memory"), released);
  m.def("fit_hyperparameters", &search, py::arg("kernel"), py::arg("x"), py::arg("y"), py::arg("noise"), py::arg("restarts"), py::arg("fixed"), py::arg("seed"), py::arg("jitter"),
        py::arg("memory"), py::arg("progress") = py::none());
  m.def("log_evidence", [](Kernel& kernel, const Tensor& x, const Tensor& y, double noise, double jitter, int64_t memory) {
          Evidence e;
          {
            const py::gil_scoped_release no_gil;
            e = log_evidence(kernel, x, y, noise, {.largest_jitter = jitter, .memory = memory});
          }
          py::dict slopes;
          for (const EvidenceSlope& s : e.slopes) slopes[py::str(s.name)] = s.slope;
          return std::pair(e.log_evidence, slopes);
        }, py::arg("kernel"), py::arg("x"), py::arg("y"), py::arg("noise"), py::arg("jitter"), py::arg("memory"));
  m.def("sample_gaussian", [](const Tensor& mean, const Tensor& covariance, int64_t count, uint64_t seed) {
          const GaussianSamples drawn = sample_gaussian(mean, covariance, count, seed);
          return std::pair(drawn.samples, drawn.jitter);
        }, py::arg("mean"), py::arg("covariance"), py::arg("count"), py::arg("seed"), released);
  m.def("fit_laplace", &laplace_of, py::arg("K"), py::arg("labels"), py::arg("classes"), py::arg("jitter"), py::arg("memory"), released);
}

void add_others(py::module_& m) {
  m.def("fit_svm", [](const Tensor& K, const Tensor& labels, int64_t classes, double C, bool probability, double tolerance, uint64_t seed, int64_t memory) {
          SvmOptions options;
          options.C = C, options.probability = probability, options.tolerance = tolerance, options.seed = seed;
          options.machine.memory = memory;
          const Svm svm = fit_svm(K, labels, classes, options);
          return made(svm, {{"C", C}, {"support_vectors", static_cast<double>(svm.support.size(0))}, {"gap", svm.gap.max().item<double>()}});
        }, py::arg("K"), py::arg("labels"), py::arg("classes"), py::arg("C"), py::arg("probability"), py::arg("tolerance"), py::arg("seed"), py::arg("memory"), released);
  m.def("fit_kernel_pca", [](const Tensor& K, int64_t components, int64_t memory) {
          const KernelPca pca = fit_kernel_pca(K, components, {.memory = memory});
          return made(pca, {{"components", static_cast<double>(pca.variances.size(0))}, {"explained", pca.explained.sum().item<double>()}});
        }, py::arg("K"), py::arg("components"), py::arg("memory"), released);
  m.def("train_in_closed_form", [](const Tensor& K, const Tensor& change, double flow, double rate, double momentum, int64_t steps, int64_t memory) {
          const TrainingDynamics dynamics(K, change, {.memory = memory});
          const TrainingTime time{.flow = flow, .rate = rate, .momentum = momentum, .steps = steps};
          const double error = std::sqrt(dynamics.squared_error(time) / static_cast<double>(change.numel()));
          return made(KernelExpansion{dynamics.coefficients(time)}, {{"train_rmse", error}, {"stable_rate", dynamics.stable_rate(momentum)}});
        }, py::arg("K"), py::arg("change"), py::arg("flow"), py::arg("rate"), py::arg("momentum"), py::arg("steps"), py::arg("memory"), released);
  m.def("require_positive_semi_definite", [](const Tensor& K, const std::string& who) { require_positive_semi_definite(training_gram(K, who), who); }, py::arg("K"), py::arg("who"), released);
}

}  // namespace

void init_machines(py::module_& m) {
  add_machine(m);
  add_ridge(m);
  add_gaussian_processes(m);
  add_others(m);
}

}  // namespace pathkernel::python
