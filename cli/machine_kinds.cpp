#include "checks.h"
#include "machine_fit.h"
#include "terminal.h"

#include <pathkernel/core/error.h>
#include <pathkernel/machine/conjugate_gradients.h>
#include <pathkernel/machine/evidence.h>
#include <pathkernel/machine/ridge.h>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cmath>

namespace pathkernel::cli {
namespace {

struct RidgeOptions {
  std::vector<double> lambdas;
  std::string method = "exact";
  int64_t landmarks = 1000, directions = 1000, rank = 200, iterations = 1000, seed = 0;
  double tolerance = 1e-8;
};

/// λ of the path where none is asked for: mean k(x, x) times 1e-6 … 100.
std::vector<double> usual_lambdas(const Tensor& K) {
  std::vector<double> lambdas;
  for (int power = -6; power <= 2; ++power) lambdas.push_back(K.diagonal().mean().item<double>() * std::pow(10.0, power));
  return lambdas;
}

double wrong_share(const Tensor& outputs, const Tensor& labels) { return outputs.argmax(1).ne(labels).to(at::kDouble).mean().item<double>(); }

TrainedMachine exact_ridge(const RidgeOptions& o, const FitProblem& p, std::vector<std::string>& notes) {
  const Tensor K = p.gram();
  TrainedMachine machine;
  Tensor alpha, left_out;
  if (o.lambdas.size() == 1) {
    const KernelRidge ridge = fit_ridge(K, p.targets, o.lambdas[0], p.machine);
    alpha = ridge.alpha;
    left_out = ridge.leave_one_out;
    machine.numbers = {{"lambda", o.lambdas[0]}, {"jitter", ridge.factor.jitter}};
  } else {
    const RidgePath path = ridge_path(K, p.targets, o.lambdas.empty() ? usual_lambdas(K) : o.lambdas, p.machine);
    const double lambda = path.lambdas[static_cast<size_t>(path.best)];
    alpha = path.alpha[path.best];
    left_out = path.leave_one_out[path.best];
    machine.numbers = {{"lambda", lambda}};
    const bool at_end = path.best == 0 || path.best + 1 == static_cast<int64_t>(path.lambdas.size());
    notes.push_back(fmt::format("lambda = {:.3g} has the smallest leave-one-out error of {:.3g}{}", lambda, fmt::join(path.lambdas, ", "),
                                at_end ? " (at an end of the list: others may be better)" : ""));
  }
  machine.fitted = KernelExpansion{alpha};
  const double error = std::sqrt((left_out - p.targets).square().mean().item<double>());
  machine.numbers["leave_one_out_rmse"] = error;
  std::string note = fmt::format("leave one out: root mean square error {:.4g}", error);
  if (!p.data.classes.empty()) {
    machine.numbers["leave_one_out_accuracy"] = 1 - wrong_share(left_out, p.data.targets);
    note += fmt::format(", {:.2f} % right", 100 * machine.numbers["leave_one_out_accuracy"]);
  }
  notes.push_back(note);
  return machine;
}

const Kernel& kernel_of(const FitProblem& p, const std::string& method) {
  if (!p.kernel) throw InvalidInput(fmt::format("machine: --method {} computes the kernel as it goes; give --x or --data and --kernel, not --gram", method));
  return *p.kernel;
}

TrainedMachine ridge_for_many(const RidgeOptions& o, const FitProblem& p, std::vector<std::string>& notes) {
  const Kernel& kernel = kernel_of(p, o.method);
  if (o.lambdas.size() != 1) throw InvalidInput(fmt::format("machine: --method {} needs one --lambda", o.method));
  const double lambda = o.lambdas[0];
  const auto seed = static_cast<uint64_t>(o.seed);
  const Tensor& x = p.data.inputs;
  TrainedMachine machine;
  machine.numbers = {{"lambda", lambda}};
  if (o.method == "cg") {
    const RidgeByCg ridge = fit_ridge_by_cg(kernel, x, p.targets, lambda, o.rank, {.iterations = o.iterations, .tolerance = o.tolerance, .progress = progress_bar()}, p.machine);
    machine.fitted = KernelExpansion{ridge.alpha};
    machine.numbers["residual"] = ridge.solution.residual.max().item<double>();
    machine.numbers["iterations"] = static_cast<double>(ridge.solution.iterations);
    notes.push_back(fmt::format("conjugate gradients: {} iterations, residual {:.2g} of the targets{}; the preconditioner leaves {:.2g} of the trace", ridge.solution.iterations,
                                machine.numbers["residual"], ridge.solution.converged ? "" : " (NOT converged: more --iterations or a larger --lambda)", ridge.unexplained));
  } else if (o.method == "nystroem") {
    const Nystrom ridge = fit_nystrom(kernel, x, p.targets, lambda, std::min(o.landmarks, x.size(0)), seed, p.machine, progress_bar());
    machine.fitted = KernelExpansion{ridge.alpha};
    machine.inputs = x.index_select(0, ridge.landmarks);
    machine.numbers["unexplained"] = ridge.unexplained;
    notes.push_back(fmt::format("{} landmarks of rank {}: {:.2g} of the kernel's trace is not explained by them", ridge.landmarks.size(0), ridge.rank, ridge.unexplained));
  } else {
    const int64_t inputs = x.numel() / x.size(0);
    const RandomFeatureRidge ridge = fit_random_features(fourier_features_of(kernel, inputs, o.directions, seed), x, p.targets, lambda, p.machine, progress_bar());
    machine.fitted = FourierExpansion{ridge.weights, inputs, o.directions, seed};
    machine.inputs = x.narrow(0, 0, 0);
    machine.numbers["kernel_error"] = ridge.kernel_error;
    notes.push_back(fmt::format("{} random directions: the kernel is off by {:.2g} of k(x, x) (standard error)", o.directions, ridge.kernel_error));
  }
  return machine;
}

struct GpOptions {
  double noise = 0.1;
  bool optimise = false;
  int64_t restarts = 3, seed = 0;
  std::vector<std::string> fixed;
};

TrainedMachine fit_gp(const GpOptions& o, const FitProblem& p, std::vector<std::string>& notes) {
  double noise = o.noise;
  TrainedMachine machine;
  if (o.optimise) {
    if (!p.kernel) throw InvalidInput("machine: --optimise changes the kernel; give --x or --data and --kernel, not --gram");
    HyperparameterSearch search;
    search.restarts = o.restarts;
    search.seed = static_cast<uint64_t>(o.seed);
    search.fixed = o.fixed;
    std::erase(search.fixed, "noise");
    search.fit_noise = search.fixed.size() == o.fixed.size();
    search.machine = p.machine;
    search.progress = progress_bar();
    const HyperparameterFit found = fit_hyperparameters(*p.kernel, p.data.inputs, p.targets, noise, search);
    noise = found.noise;
    notes.push_back(found.brief());
    machine.numbers["starts"] = static_cast<double>(found.starts.size());
  }
  const GaussianProcess gp = fit_gaussian_process(p.gram(), p.targets, noise, p.machine);
  machine.numbers["noise"] = noise;
  machine.numbers["log_evidence"] = gp.log_evidence;
  machine.numbers["jitter"] = gp.factor.jitter;
  notes.push_back(fmt::format("noise {:.6g} (a variance), log evidence {:.8g}", noise, gp.log_evidence));
  machine.fitted = gp;
  return machine;
}

TrainedMachine fit_classifier(const FitProblem& p, std::vector<std::string>& notes) {
  const Tensor labels = p.labels("gp-classifier");
  const auto classes = static_cast<int64_t>(p.data.classes.size());
  LaplaceOptions options;
  options.machine = p.machine;
  TrainedMachine machine;
  const auto note = [&](double log_evidence, int64_t iterations, bool converged, double jitter) {
    machine.numbers = {{"log_evidence", log_evidence}, {"iterations", static_cast<double>(iterations)}, {"jitter", jitter}};
    notes.push_back(fmt::format("Laplace's approximation: log evidence {:.8g}, {} Newton steps{}", log_evidence, iterations, converged ? "" : " (NOT converged)"));
  };
  if (classes == 2) {
    const LaplaceBinary laplace = fit_laplace_binary(p.gram(), labels, options);
    note(laplace.log_evidence, laplace.iterations, laplace.converged, laplace.factor.jitter);
    machine.fitted = laplace;
  } else {
    const LaplaceMulticlass laplace = fit_laplace_multiclass(p.gram(), labels, classes, options);
    note(laplace.log_evidence, laplace.iterations, laplace.converged, laplace.factor.jitter);
    machine.fitted = laplace;
  }
  return machine;
}

}  // namespace

FitKind ridge_kind() {
  auto o = std::make_shared<RidgeOptions>();
  const auto options = [o](CLI::App& command) {
    command.add_option("--lambda", o->lambdas, "Weight of the norm; of several the one with the smallest leave-one-out error (default: nine from 1e-6 to 100 times the mean k(x, x))")
        ->check(not_negative);
    command.add_option("--method", o->method, "exact | cg (nothing of size n x n is kept) | nystroem | random-features (approximations for many examples, with their error)")
        ->check(CLI::IsMember({"exact", "cg", "nystroem", "random-features"}))
        ->capture_default_str();
    command.add_option("--rank", o->rank, "cg: of the preconditioner")->check(not_negative)->capture_default_str();
    command.add_option("--iterations", o->iterations, "cg: at most")->check(positive)->capture_default_str();
    command.add_option("--tolerance", o->tolerance, "cg: residual in units of the targets")->check(positive)->capture_default_str();
    command.add_option("--landmarks", o->landmarks, "nystroem: examples that stand for all")->check(positive)->capture_default_str();
    command.add_option("--directions", o->directions, "random-features: random frequencies")->check(positive)->capture_default_str();
    command.add_option("--seed", o->seed, "nystroem, random-features")->check(not_negative)->capture_default_str();
  };
  return {"ridge", "Kernel ridge regression; classes as one number each", true, options, [o](const FitProblem& p, std::vector<std::string>& notes) {
            return o->method == "exact" ? exact_ridge(*o, p, notes) : ridge_for_many(*o, p, notes);
          }};
}

FitKind gaussian_process_kind() {
  auto o = std::make_shared<GpOptions>();
  const auto options = [o](CLI::App& command) {
    command.add_option("--noise", o->noise, "Variance of the targets' noise")->check(not_negative)->capture_default_str();
    command.add_flag("--optimise", o->optimise, "Choose noise and the kernel's numbers by the evidence, from here and from --restarts other places");
    command.add_option("--restarts", o->restarts, "Further starts")->check(not_negative)->capture_default_str();
    command.add_option("--fixed", o->fixed, "Numbers to leave alone: names such as lengthscale, 0.scale, noise");
    command.add_option("--seed", o->seed, "Of the restarts")->check(not_negative)->capture_default_str();
  };
  return {"gp", "Gaussian process regression; classes as one number each", true, options,
          [o](const FitProblem& p, std::vector<std::string>& notes) { return fit_gp(*o, p, notes); }};
}

FitKind classifier_kind() {
  return {"gp-classifier", "Gaussian process classification by Laplace's approximation", true, [](CLI::App&) {}, fit_classifier};
}

FitKind svm_kind() {
  auto o = std::make_shared<SvmOptions>();
  const auto options = [o](CLI::App& command) {
    command.add_option("--C", o->C, "What an example inside the margin costs")->check(positive)->capture_default_str();
    command.add_flag("--probability", o->probability, "Also probabilities, by cross-validation (five times the work)");
    command.add_option("--tolerance", o->tolerance, "Where LIBSVM stops")->check(positive)->capture_default_str();
    command.add_option("--seed", o->seed, "Of the cross-validation")->capture_default_str();
  };
  return {"svm", "Support vector machine (LIBSVM), one against one", true, options, [o](const FitProblem& p, std::vector<std::string>& notes) {
            o->machine = p.machine;
            const Svm svm = fit_svm(p.gram(), p.labels("svm"), static_cast<int64_t>(p.data.classes.size()), *o);
            TrainedMachine machine;
            machine.numbers = {{"C", o->C}, {"support_vectors", static_cast<double>(svm.support.size(0))}, {"gap", svm.gap.max().item<double>()}};
            notes.push_back(fmt::format("{} support vectors of {} examples; duality gap at most {:.2g}", svm.support.size(0), p.examples(), svm.gap.max().item<double>()));
            machine.fitted = svm;
            return machine;
          }};
}

FitKind pca_kind() {
  auto components = std::make_shared<int64_t>(2);
  return {"pca", "Kernel principal components", false,
          [components](CLI::App& command) {
            command.add_option("--components", *components, "How many; 0: all above rounding")->check(not_negative)->capture_default_str();
          },
          [components](const FitProblem& p, std::vector<std::string>& notes) {
            const KernelPca pca = fit_kernel_pca(p.gram(), *components, p.machine);
            TrainedMachine machine;
            machine.numbers = {{"components", static_cast<double>(pca.variances.size(0))}, {"explained", pca.explained.sum().item<double>()}};
            notes.push_back(fmt::format("{} components explain {:.2f} % of the variance", pca.variances.size(0), 100 * machine.numbers["explained"]));
            machine.fitted = pca;
            return machine;
          }};
}

FitKind dynamics_kind() {
  auto time = std::make_shared<TrainingTime>();
  const auto options = [time](CLI::App& command) {
    CLI::Option* flow = command.add_option("--time", time->flow, "Of gradient flow on half the sum of squares (default: infinite)")->check(not_negative);
    CLI::Option* rate = command.add_option("--rate", time->rate, "Learning rate of gradient descent, in place of flow")->check(positive)->excludes(flow);
    command.add_option("--steps", time->steps, "Of descent")->check(not_negative)->needs(rate);
    command.add_option("--momentum", time->momentum, "Of descent")->check(not_negative)->needs(rate);
  };
  return {"dynamics", "What an infinitely wide network has learned at a time: training in closed form on its tangent kernel", true, options,
          [time](const FitProblem& p, std::vector<std::string>& notes) {
            const TrainingDynamics dynamics(p.gram(), p.targets, p.machine);
            TrainedMachine machine;
            machine.fitted = KernelExpansion{dynamics.coefficients(*time)};
            const double error = std::sqrt(dynamics.squared_error(*time) / static_cast<double>(p.targets.numel()));
            machine.numbers = {{"train_rmse", error}, {"stable_rate", dynamics.stable_rate(time->momentum)}};
            notes.push_back(fmt::format("root mean square error {:.4g} on the training examples; descent converges below the rate {:.4g}", error,
                                        dynamics.stable_rate(time->momentum)));
            return machine;
          }};
}

}  // namespace pathkernel::cli
