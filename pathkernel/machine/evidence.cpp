#include <pathkernel/machine/evidence.h>

#include <pathkernel/core/error.h>
#include <pathkernel/core/random.h>
#include <pathkernel/kernel/gram.h>
#include <pathkernel/machine/minimise.h>

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

namespace pathkernel {
namespace {

constexpr const char* who = "Gaussian process";
constexpr int64_t tile_rows = 512;
constexpr int64_t small = 512;  ///< rows below which an operation takes about as long as waking other threads for it, or much less where they have other work

/// Computes on one thread while it lives.
class OneThread {
 public:
  explicit OneThread(bool wanted) : before_(at::get_num_threads()), changed_(wanted && before_ > 1) {
    if (changed_) at::set_num_threads(1);
  }
  ~OneThread() {
    if (changed_) at::set_num_threads(before_);
  }
  OneThread(const OneThread&) = delete;
  OneThread& operator=(const OneThread&) = delete;

 private:
  int before_;
  bool changed_;
};

/// Hyper-parameters that vary.
std::vector<Hyperparameter> positive_ones(const Kernel& kernel) {
  std::vector<Hyperparameter> varying;
  for (const Hyperparameter& p : kernel.hyperparameters())
    if (p.range != Range::any && p.value.detach().min().item<double>() > 0) varying.push_back(p);
  return varying;
}

/// Makes hyper-parameters leaves of autograd, and puts back what they were when it ends.
class Leaves {
 public:
  Leaves(Kernel& kernel, const std::vector<Hyperparameter>& varying) : kernel_(kernel), varying_(varying) {
    for (const Hyperparameter& p : varying) {
      leaves_.push_back(p.value.detach().clone().requires_grad_(true));
      kernel_.set_hyperparameter(p.name, leaves_.back());
    }
  }
  ~Leaves() {
    for (size_t k = 0; k < varying_.size(); ++k) kernel_.set_hyperparameter(varying_[k].name, varying_[k].value);
  }
  Leaves(const Leaves&) = delete;
  Leaves& operator=(const Leaves&) = delete;

  const Tensors& tensors() const { return leaves_; }

 private:
  Kernel& kernel_;
  const std::vector<Hyperparameter>& varying_;
  Tensors leaves_;
};

/// Σ_ij G_ij ∂K_ij into the leaves' gradients, a tile at a time. G is symmetric: tiles above the diagonal count through those below.
void backward(const Kernel& kernel, const Tensor& x, const Tensor& G) {
  const int64_t n = x.size(0);
  for (int64_t row = 0; row < n; row += tile_rows)
    for (int64_t column = 0; column <= row; column += tile_rows) {
      const int64_t rows = std::min(tile_rows, n - row), columns = std::min(tile_rows, n - column);
      const Tensor above = x.narrow(0, row, rows);
      const Tensor K = row == column ? kernel.gram(above) : kernel.gram(above, x.narrow(0, column, columns));
      const Tensor weighted = (K * G.narrow(0, row, rows).narrow(1, column, columns)).sum() * (row == column ? 1 : 2);
      if (weighted.requires_grad()) weighted.backward();
    }
}

std::string entry_name(const Hyperparameter& p, int64_t k) { return p.value.dim() == 0 ? p.name : fmt::format("{}[{}]", p.name, k); }

/// Slopes with log θ: θ·∂θ.
void append_slopes(std::vector<EvidenceSlope>& slopes, const Hyperparameter& p, const Tensor& leaf) {
  const Tensor value = leaf.detach().reshape(-1), gradient = leaf.grad().defined() ? leaf.grad().reshape(-1) : value * 0;
  for (int64_t k = 0; k < value.numel(); ++k) {
    const double v = value[k].item<double>();
    slopes.push_back({entry_name(p, k), v, v * gradient[k].item<double>()});
  }
}

GramOptions gram_options(const MachineOptions& machine) { return {.memory = machine.memory}; }

/// The search's view of kernel and noise: a vector of logarithms.
class LogNumbers {
 public:
  LogNumbers(Kernel& kernel, double noise, const HyperparameterSearch& search) : kernel_(kernel), noise_(noise) {
    for (const std::string& name : search.fixed) require_known(name);
    for (const Hyperparameter& p : positive_ones(kernel))
      if (std::find(search.fixed.begin(), search.fixed.end(), p.name) == search.fixed.end()) varying_.push_back(p);
    fit_noise_ = search.fit_noise && noise > 0;
  }

  std::vector<double> now() const {
    std::vector<double> logs;
    for (const Hyperparameter& p : varying_)
      for (int64_t k = 0; k < p.value.numel(); ++k) logs.push_back(std::log(p.value.detach().reshape(-1)[k].item<double>()));
    if (fit_noise_) logs.push_back(std::log(noise_));
    return logs;
  }

  void set(const std::vector<double>& logs) {
    size_t at = 0;
    for (Hyperparameter& p : varying_) {
      const Tensor value = p.value.detach().clone();
      for (int64_t k = 0; k < value.numel(); ++k) value.reshape(-1)[k].fill_(std::exp(logs[at++]));
      p.value = value;
      kernel_.set_hyperparameter(p.name, value);
    }
    if (fit_noise_) noise_ = std::exp(logs[at]);
  }

  double noise() const { return noise_; }

  /// −∂log p of what varies, in the order of now().
  std::vector<double> gradient(const std::vector<EvidenceSlope>& slopes) const {
    std::vector<double> g;
    for (const std::string& name : names()) {
      const auto found = std::find_if(slopes.begin(), slopes.end(), [&](const EvidenceSlope& s) { return s.name == name; });
      g.push_back(-found->slope);
    }
    return g;
  }

  std::vector<std::string> names() const {
    std::vector<std::string> names;
    for (const Hyperparameter& p : varying_)
      for (int64_t k = 0; k < p.value.numel(); ++k) names.push_back(entry_name(p, k));
    if (fit_noise_) names.emplace_back("noise");
    return names;
  }

 private:
  void require_known(const std::string& name) const {
    std::vector<std::string> known;
    for (const Hyperparameter& p : kernel_.hyperparameters()) known.push_back(p.name);
    if (std::find(known.begin(), known.end(), name) == known.end())
      throw InvalidInput(fmt::format("{}: there is no hyper-parameter \"{}\" to leave alone; {} has {}", who, name, kernel_.specification(), fmt::join(known, ", ")));
  }

  Kernel& kernel_;
  double noise_;
  bool fit_noise_ = true;
  std::vector<Hyperparameter> varying_;
};

}  // namespace

Evidence log_evidence(Kernel& kernel, const Tensor& x, const Tensor& y, double noise, const MachineOptions& options) {
  require_memory(4, x.size(0), options.memory, who);
  const std::vector<Hyperparameter> varying = positive_ones(kernel);
  const GaussianProcess machine = fit_gaussian_process(gram_matrix(kernel, x, {}, gram_options(options)), y, noise, options);
  const Tensor G = machine.evidence_gradient();
  Evidence evidence{machine.log_evidence, machine.factor.jitter, {}};
  {
    const at::AutoGradMode with_gradients(true);
    const Leaves leaves(kernel, varying);
    backward(kernel, x, G);
    for (size_t k = 0; k < varying.size(); ++k) append_slopes(evidence.slopes, varying[k], leaves.tensors()[k]);
  }
  evidence.slopes.push_back({"noise", noise, noise * G.diagonal().sum().item<double>()});
  return evidence;
}

HyperparameterFit fit_hyperparameters(Kernel& kernel, const Tensor& x, const Tensor& y, double noise, const HyperparameterSearch& search) {
  if (search.restarts < 0 || !(search.spread >= 1))
    throw InvalidInput(fmt::format("{}: {} restarts with a spread of {}; expected zero or more, and a factor from one up", who, search.restarts, search.spread));
  const OneThread one(x.size(0) < small);
  LogNumbers numbers(kernel, noise, search);
  const std::vector<double> begin = numbers.now();
  std::vector<double> lower = begin, upper = begin, best = begin;
  for (double& v : lower) v += std::log(search.smallest);
  for (double& v : upper) v += std::log(search.largest);
  std::string refusal;
  const auto negative_evidence = [&](const std::vector<double>& logs) -> std::optional<ValueAndGradient> {
    numbers.set(logs);
    try {
      const Evidence e = log_evidence(kernel, x, y, numbers.noise(), search.machine);
      return ValueAndGradient{-e.log_evidence, numbers.gradient(e.slopes)};
    } catch (const InvalidInput& error) {  // singular, or overflow: the search goes elsewhere
      refusal = error.what();
      return {};
    }
  };
  RandomStream random(stream_seed(search.seed, Stream::sampling, 1));
  const auto uniform = [&] { return static_cast<double>(random.next() >> 11) * 0x1p-53 * 2 - 1; };
  HyperparameterFit fit;
  for (int64_t r = 0; r <= search.restarts; ++r) {
    std::vector<double> start = begin;
    if (r > 0)
      for (double& v : start) v += std::log(search.spread) * uniform();
    const auto found = minimise(negative_evidence, start, lower, upper, {.iterations = search.iterations});
    if (search.progress) search.progress("hyper-parameters", r + 1, search.restarts + 1);
    if (!found) {
      ++fit.without_evidence;
      continue;
    }
    fit.starts.push_back({-found->value, found->largest_gradient, found->iterations, found->evaluations, found->converged});
    if (fit.starts.size() > 1 && -found->value <= fit.starts[static_cast<size_t>(fit.best)].log_evidence) continue;
    fit.best = static_cast<int64_t>(fit.starts.size()) - 1;
    best = found->at;
  }
  numbers.set(best);
  if (fit.starts.empty()) throw InvalidInput(fmt::format("{}: the evidence exists at none of {} starts; the last said: {}", who, fit.without_evidence, refusal));
  const Evidence evidence = log_evidence(kernel, x, y, numbers.noise(), search.machine);
  fit.noise = numbers.noise();
  fit.log_evidence = evidence.log_evidence;
  fit.slopes = evidence.slopes;
  for (size_t k = 0; k < best.size(); ++k)
    if (best[k] <= lower[k] || best[k] >= upper[k]) fit.at_bound.push_back(numbers.names()[k]);
  return fit;
}

std::string HyperparameterFit::brief() const {
  const Start& s = starts[static_cast<size_t>(best)];
  std::string text = fmt::format("log evidence {:.6g} after {} steps, the best of {} starts; largest slope {:.1e}{}", log_evidence, s.iterations,
                                 starts.size(), s.largest_slope, s.converged ? "" : ", not converged");
  if (without_evidence > 0) text += fmt::format("; {} more starts had no evidence", without_evidence);
  if (!at_bound.empty()) text += fmt::format("; at a bound: {}", fmt::join(at_bound, ", "));
  return text;
}

}  // namespace pathkernel
