#include <pathkernel/machine/finetune.h>

#include <pathkernel/core/bytes.h>
#include <pathkernel/core/error.h>
#include <pathkernel/kernel/linearised.h>
#include <pathkernel/kernel/tangent_kernel.h>
#include <pathkernel/machine/expectations.h>
#include <pathkernel/machine/gaussian_process.h>
#include <pathkernel/machine/svm.h>
#include <pathkernel/model/in_float64.h>

#include <ATen/ops/bmm.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/split_with_sizes.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <numeric>

namespace pathkernel {
namespace {

constexpr const char* who = "fine-tuning";

/// Targets, and what the process begins with at the examples.
struct Task {
  Tensor labels;   ///< int64 [n]; undefined for numbers
  Tensor y;        ///< [n, O]; undefined for classes
  Tensor mean;     ///< m, [n, O]
  Tensor offset;   ///< [O]
};

Task task_of(const Tensor& f, const Tensor& targets, int64_t asked, bool from_network) {
  const int64_t n = f.size(0), O = f.size(1);
  if (!at::isfinite(f).all().item<bool>()) throw InvalidInput(fmt::format("{}: the network's outputs on the examples are not finite", who));
  Task task;
  task.offset = at::zeros({O}, f.options());
  if (targets.defined() && targets.scalar_type() == at::kLong && targets.dim() == 1) {
    const int64_t classes = std::max<int64_t>(2, O), needed = std::max(asked, targets.numel() > 0 ? targets.max().item<int64_t>() + 1 : 0);
    if (needed > classes || (asked > 0 && asked != classes))
      throw InvalidInput(fmt::format("{}: there are {} classes, but the network's {} tell {} apart; give it a last layer of as many outputs as there are classes", who, needed,
                                     O == 1 ? "one output" : fmt::format("{} outputs", O), classes));
    task.labels = labels_of(targets, n, classes, who);
  } else {
    task.y = targets_of(targets, n, who);
    if (task.y.size(1) != O)
      throw InvalidInput(fmt::format("{}: targets are {}, but the network has {} outputs; one number for each is expected", who, describe(targets), O));
    if (!from_network) task.offset = task.y.mean(0);
  }
  task.mean = from_network ? f : task.offset.expand({n, O}).clone();
  return task;
}

/// Θ of n inputs as a matrix [nO, nO], or of queries and inputs, [mO, nO].
Tensor kernel_matrix(Model& model, const Tensors& x, const Tensors& y, int64_t memory, const Progress& progress) {
  const Tensor blocks = tangent_kernel(model, x, y, {.memory = memory, .progress = progress});
  return blocks.permute({0, 2, 1, 3}).reshape({blocks.size(0) * blocks.size(2), -1});
}

void check_given(const std::vector<double>& values, double least, const char* name) {
  for (const double v : values)
    if (!(v >= least) || !std::isfinite(v) || (least == 0 && v < 0))
      throw InvalidInput(fmt::format("{}: the {} is {}, expected a variance {}", who, name, v, least > 0 ? "above zero" : "from zero up"));
}

std::vector<double> powers(int from, int to, double times) {
  std::vector<double> all;
  for (int p = from; p <= to; ++p) all.push_back(std::pow(10.0, p) * times);
  return all;
}

/// log p(y) at s₀ and σ² from K = U diag(λ) Uᵀ and Uᵀ(y − m).
double log_evidence(const EigenDecomposition& e, const Tensor& turned, double prior, double noise) {
  const Tensor variances = prior * e.values + noise;
  return -0.5 * ((turned.square() / variances).sum() + variances.log().sum()).item<double>() - 0.5 * double(turned.numel()) * std::log(2 * std::numbers::pi);
}

void fit_numbers(const Tensor& K, const Tensor& residual, const FinetuneOptions& o, const std::vector<double>& priors, const std::vector<double>& noises, Finetuned& fit) {
  fit.prior = priors[0];
  fit.noise = noises[0];
  if (priors.size() * noises.size() > 1) {
    const EigenDecomposition e = eigen_decomposition(K, who);
    const Tensor turned = e.vectors.t().mv(residual);
    double best = -std::numeric_limits<double>::infinity();
    for (const double prior : priors)
      for (const double noise : noises)
        if (const double p = log_evidence(e, turned, prior, noise); p > best) best = p, fit.prior = prior, fit.noise = noise;
  }
  const GaussianProcess gp = fit_gaussian_process(fit.prior * K, residual, fit.noise, o.machine);
  fit.alpha = gp.alpha;
  fit.factor = gp.factor;
  fit.log_evidence = gp.log_evidence;
  const Tensor left = residual - (fit.prior * K.mv(gp.alpha.squeeze(1)) + (fit.noise + gp.factor.jitter) * gp.alpha.squeeze(1));
  fit.residual = left.norm().item<double>() / std::max(residual.norm().item<double>(), 1e-300);
}

void take(const JointLaplace& laplace, double prior, Finetuned& fit) {
  fit.prior = prior;
  fit.alpha = laplace.alpha;
  fit.H = laplace.H;
  fit.log_evidence = laplace.log_evidence;
  fit.residual = laplace.residual;
  fit.iterations = laplace.factor ? laplace.iterations : laplace.inner_iterations;
  fit.converged = laplace.converged;
  if (laplace.factor) fit.factor = *laplace.factor;
}

void fit_classes(const Tensor& K, const Task& task, const FinetuneOptions& o, const std::vector<double>& priors, Finetuned& fit) {
  LaplaceOptions laplace = o.laplace;
  laplace.machine = o.machine;
  double best = -std::numeric_limits<double>::infinity();
  for (const double prior : priors) {
    const JointLaplace one = fit_joint_laplace(prior * K, task.mean, task.labels, laplace);
    if (one.log_evidence > best || priors.size() == 1) best = one.log_evidence, take(one, prior, fit);
  }
  if (!fit.alpha.defined()) throw InvalidInput(fmt::format("{}: no prior of {} gives a finite evidence", who, fmt::join(priors, ", ")));
}

void fit_exact(Model& model, const Tensors& inputs, const Task& task, const FinetuneOptions& o, Finetuned& fit) {
  const int64_t n = task.mean.size(0), outputs = task.mean.size(1);
  const double bytes = 4.0 * 8.0 * std::pow(double(n * outputs), 2);  // K, scaled, with noise or I, and its factor
  if (bytes > double(o.machine.memory))
    throw InvalidInput(fmt::format("{}: {} examples with {} outputs take about {}, but {} are allowed; allow more memory, use fewer examples, or fit without the matrix (conjugate gradients)",
                                   who, n, outputs, print_bytes(int64_t(std::min(bytes, 9e18))), print_bytes(o.machine.memory)));
  const Tensor K = kernel_matrix(model, inputs, {}, o.machine.memory / 2, o.progress);
  const double scale = K.diagonal().mean().item<double>();
  if (!std::isfinite(scale) || scale <= 0) throw InvalidInput(fmt::format("{}: the mean of JJᵀ's diagonal is {}; weights whose change moves the outputs are expected", who, scale));
  const std::vector<double> priors = o.prior.empty() ? powers(-4, 4, 1 / scale) : o.prior;
  if (fit.classes) return fit_classes(K, task, o, priors, fit);
  const Tensor residual = (task.y - task.mean).reshape(-1);
  const double size = residual.square().mean().item<double>();
  fit_numbers(K, residual, o, priors, o.noise.empty() ? powers(-4, 0, size > 0 ? size : 1) : o.noise, fit);
}

void fit_matrix_free(const Linearised& net, const Task& task, const FinetuneOptions& o, Finetuned& fit) {
  if (o.prior.size() != 1 || (!fit.classes && o.noise.size() != 1))
    throw InvalidInput(fmt::format("{}: matrix-free there is no evidence to choose by; give one prior{}", who, fit.classes ? "" : " and one noise"));
  if (!fit.classes && o.noise[0] == 0) throw InvalidInput(fmt::format("{}: the noise is 0, but conjugate gradients want one above zero", who));
  const double prior = fit.prior = o.prior[0];
  const int64_t rows = task.mean.numel();
  const LinearMap K = [&](const Tensor& v) { return prior * net.product(v); };
  PivotedCholesky approximation;
  if (o.rank > 0) {
    approximation = pivoted_cholesky(prior * net.diagonal(), [&](int64_t row) { return prior * net.column(row); }, std::min(o.rank, rows));
    fit.unexplained = approximation.unexplained;
  }
  CgOptions cg = o.cg;
  cg.progress = o.progress;
  if (fit.classes) {
    const auto precondition = [&](const Tensor& H) {
      const int64_t n = H.size(0), C = H.size(1);
      return PivotedCholesky{at::bmm(H.transpose(1, 2), approximation.L.reshape({n, C, -1})).reshape({rows, -1}), 0}.inverse_with(1);
    };
    const std::function<LinearMap(const Tensor&)> none;
    return take(fit_joint_laplace(K, task.mean, task.labels, o.rank > 0 ? precondition : none, cg, o.laplace), prior, fit);
  }
  fit.noise = o.noise[0];
  const Tensor residual = (task.y - task.mean).reshape({-1, 1});
  const CgSolution s = conjugate_gradients([&](const Tensor& v) { return K(v) + fit.noise * v; }, residual, o.rank > 0 ? approximation.inverse_with(fit.noise) : LinearMap(), cg);
  fit.alpha = s.x;
  fit.residual = s.residual.max().item<double>();
  fit.iterations = s.iterations;
  fit.converged = s.converged;
  fit.log_evidence = std::numeric_limits<double>::quiet_NaN();
}

Tensors slice(const Tensors& inputs, int64_t first, int64_t count) {
  Tensors some;
  for (const Tensor& t : inputs) some.push_back(t.narrow(0, first, count));
  return some;
}

/// [P] as one column for each parameter, [1, W].
Tensors by_parameter(const Model& model, const Tensor& change) {
  std::vector<int64_t> sizes;
  for (const NamedTensor& p : model.parameters()) sizes.push_back(p.tensor.numel());
  const int64_t all = std::accumulate(sizes.begin(), sizes.end(), int64_t{0});
  if (change.numel() != all) throw InvalidInput(fmt::format("{}: the network has {} weights, but it was a network of {} that was fitted", who, all, change.numel()));
  Tensors parts;
  for (const Tensor& part : change.split_with_sizes(sizes)) parts.push_back(part.unsqueeze(0));
  return parts;
}

/// Θ(x, x) of each input with itself, [m, O, O].
Tensor own_blocks(Model& model, const Tensors& x, int64_t m, int64_t memory) {
  constexpr int64_t some = 8;  // of each block only what is on the diagonal is wanted
  Tensors parts;
  for (int64_t i = 0; i < m; i += some) {
    const Tensor blocks = tangent_kernel(model, slice(x, i, std::min(some, m - i)), {}, {.memory = memory});
    parts.push_back(blocks.diagonal(0, 0, 1).permute({2, 0, 1}));
  }
  return at::cat(parts);
}

Tensor covariance_of(Model& model, const Finetuned& fit, const Tensors& inputs, const Tensors& x, int64_t m, int64_t memory) {
  const Tensor K_x = fit.prior * kernel_matrix(model, x, inputs, memory / 2, {}), K_xx = fit.prior * own_blocks(model, x, m, memory / 2);
  const int64_t O = fit.alpha.size(1);
  if (fit.classes) {
    JointLaplace laplace;
    laplace.mode = fit.alpha, laplace.H = fit.H, laplace.factor = fit.factor;
    return laplace.covariance(K_x, K_xx);
  }
  const Tensor V = fit.factor.half_solve(K_x.t()).reshape({-1, m, O}).permute({1, 0, 2});
  const Tensor difference = K_xx - at::bmm(V.transpose(1, 2), V);
  return (difference + difference.transpose(1, 2)) / 2;
}

}  // namespace

std::string Finetuned::brief() const {
  const std::string found = exact() ? fmt::format("log evidence {:.8g}", log_evidence)
                                    : fmt::format("matrix-free: {} products, residual {:.2g}{}; the preconditioner leaves {:.2g} of the trace", iterations, residual,
                                                  converged ? "" : " (NOT converged: more iterations, a smaller prior or more noise)", unexplained);
  return fmt::format("prior {:.4g}{}, {}{}", prior, classes ? "" : fmt::format(", noise {:.4g} (variances)", noise), found, exact() && !converged ? " (NOT converged)" : "");
}

Finetuned finetune(Model& model, const Tensors& inputs, const Tensor& targets, const FinetuneOptions& options) {
  check_given(options.prior, std::numeric_limits<double>::min(), "prior");
  check_given(options.noise, 0, "noise");
  if (options.rank < 0) throw InvalidInput(fmt::format("{}: the preconditioner's rank is {}, expected zero (none) or more", who, options.rank));
  const InFloat64 bound(model);
  const Tensors x = InFloat64::inputs(inputs);
  const Linearised net(model, x, options.machine.memory / 4);
  const Task task = task_of(net.values(), targets, options.classes, options.from_network);
  Finetuned fit;
  fit.classes = task.labels.defined();
  fit.from_network = options.from_network;
  fit.offset = task.offset;
  if (options.matrix_free) fit_matrix_free(net, task, options, fit);
  else fit_exact(model, x, task, options, fit);
  const NamedTensors parameters = model.parameters();
  Tensors parts = net.pull(fit.alpha.reshape({-1, 1}));
  for (size_t l = 0; l < parts.size(); ++l) parts[l] = parts[l].defined() ? fit.prior * parts[l][0] : at::zeros({parameters[l].tensor.numel()}, fit.alpha.options());
  fit.change = at::cat(parts);
  fit.alpha = fit.alpha.reshape(task.mean.sizes());
  return fit;
}

FinetunedPrediction predict(Model& model, const Finetuned& fit, const Tensors& inputs, const Tensors& queries, bool covariance, int64_t memory) {
  if (covariance && !fit.exact()) throw InvalidInput(fmt::format("{}: a matrix-free fit has no variance; fit the exact one, or ask for the mean", who));
  const InFloat64 bound(model);
  const Tensors x = InFloat64::inputs(queries), examples = InFloat64::inputs(inputs);
  const int64_t m = x.empty() || x[0].dim() == 0 ? 0 : x[0].size(0), n = fit.alpha.size(0), O = fit.alpha.size(1);
  const int64_t piece = std::max<int64_t>(1, std::min<int64_t>(covariance ? memory / 8 / (8 * n * O * O * 4) : 512, std::max<int64_t>(1, m)));
  const Tensors v = by_parameter(model, fit.change);
  Tensors means, covariances;
  for (int64_t i = 0; i < m || means.empty(); i += piece) {
    const Tensors some = m == 0 ? x : slice(x, i, std::min(piece, m - i));
    const Linearised net(model, some, memory / 4);
    if (net.outputs() != O) throw InvalidInput(fmt::format("{}: the network has {} outputs, but {} were fitted", who, net.outputs(), O));
    means.push_back((fit.from_network ? net.values() : fit.offset) + net.push(v).view({-1, O}));
    if (covariance) covariances.push_back(covariance_of(model, fit, examples, some, net.examples(), memory / 2));
  }
  FinetunedPrediction p;
  p.outputs = at::cat(means);
  if (covariance) p.covariance = at::cat(covariances);
  if (!fit.classes) return p;
  const auto both = [](const Tensor& second) { return at::stack({1 - second, second}, 1); };
  if (O == 1) {
    p.probabilities = both(covariance ? expected_sigmoid(p.outputs.squeeze(1), p.covariance.reshape(-1).clamp_min(0)) : class_probabilities(p.outputs).squeeze(1));
  } else if (covariance) {
    const EstimatedProbabilities e = expected_softmax(p.outputs, p.covariance, 2000, 0);
    p.probabilities = e.mean;
    p.probability_error = e.standard_error.max().item<double>();
  } else {
    p.probabilities = class_probabilities(p.outputs);
  }
  return p;
}

}  // namespace pathkernel
