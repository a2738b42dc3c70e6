#include <pathkernel/kernel/evolution.h>

#include <pathkernel/core/error.h>
#include <pathkernel/kernel/moments.h>
#include <pathkernel/kernel/tangent_kernel.h>
#include <pathkernel/model/in_float64.h>
#include <pathkernel/model/own_weights.h>
#include <pathkernel/record/replay.h>
#include <pathkernel/tangent/contraction.h>
#include <pathkernel/tangent/example_gradients.h>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/one_hot.h>
#include <ATen/ops/zeros.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace pathkernel {
namespace {

/// A network on the path, in float64.
struct Version {
  int64_t step = 0;
  double time = 0, lr = 0;  ///< lr: of the step from here to `next`
  Tensors weights, buffers, next;
};

/// [n, O]
Tensor by_example(const Tensor& t) { return t.reshape({t.size(0), -1}); }

/// The networks of all moments, each with the one after the next step; the run's end with the one before its last.
std::vector<Version> versions_of(const Recording& recording, const Learner& learner, const Dataset& data, const EvolutionOptions& options) {
  const std::vector<int64_t> steps = moments_of(recording, options.steps, options.count, "kernel_evolution");
  const auto wanted = [&](int64_t s) { return std::binary_search(steps.begin(), steps.end(), s); };
  const int64_t T = recording.steps(), last = std::min(T, steps.back() + 1);
  Replay replay(recording, learner, data);
  replay.restore(0);
  std::vector<Version> versions;
  double time = 0, lr = 0;
  Tensors before;  // of the run's end
  for (int64_t s = 0; s <= last; ++s) {
    const Tensors weights = wanted(s) || wanted(s - 1) || s == T - 1 ? InFloat64::copies(values(learner.model.parameters())) : Tensors();
    if (wanted(s - 1)) versions.back().next = weights, versions.back().lr = lr;
    if (wanted(s)) versions.push_back({s, time, lr, weights, InFloat64::copies(values(learner.model.buffers())), {}});
    if (s == T && wanted(s)) versions.back().next = before;
    before = weights;
    if (s == last) break;
    lr = replay.advance().record.lr;
    time += lr;
    if (options.progress) options.progress("repeating", s + 1, last);
  }
  return versions;
}

class Evolution {
 public:
  Evolution(Model& model, const Objective& objective, std::string reduction, const Tensors& inputs, const Tensor& targets, const EvolutionOptions& options)
      : model_(model), objective_(objective), reduction_(std::move(reduction)), targets_(at::isFloatingType(targets.scalar_type()) ? targets.to(at::kDouble) : targets), options_(options) {
    for (const Tensor& t : inputs) inputs_.push_back(at::isFloatingType(t.scalar_type()) ? t.detach().to(at::kDouble) : t.detach());
  }

  KernelMoment look(const Version& v, const Version& first) {
    KernelMoment m;
    m.step = v.step, m.time = v.time;
    put(v.weights, v.buffers);
    const Tensor f = outputs(&m.loss), K = kernel();
    if (!K_first_.defined()) K_first_ = K_before_ = K, f_first_ = f, loss_first_ = m.loss;
    m.distance = kernel_distance(K, K_first_);
    m.distance_to_previous = kernel_distance(K, K_before_);
    m.alignment = unbiased_centred_alignment(K, K_first_);
    if (const Tensor Y = labels(f.size(1)); Y.defined()) {
      m.label_alignment = label_alignment(K, Y);
      m.label_share = leading_share(K, Y, f.size(1));
    }
    m.ranks = effective_ranks(K);
    m.change_of_loss = std::abs(m.loss - loss_first_) / std::abs(loss_first_);
    if (v.step != first.step) compare_jacobians(v, first, f, m);
    if (!v.next.empty() && v.lr > 0) m.velocity = velocity(v, K);
    K_before_ = K;
    return m;
  }

 private:
  void put(const Tensors& weights, const Tensors& buffers) {
    model_.bind_parameters(copies(weights));
    model_.bind_buffers(copies(buffers));
  }

  Tensor kernel() { return tangent_kernel(model_, inputs_, {}, {.form = TangentForm::trace, .memory = options_.memory}); }

  /// [n, O]; the mean loss too
  Tensor outputs(double* loss) {
    const at::AutoGradMode off(false);
    const Tensors all = model_.forward(inputs_, Mode::eval);
    *loss = mean_loss(objective_, reduction_, all, targets_, "kernel_evolution");
    return by_example(all.at(0));
  }

  /// What alignment is with: numbers to be predicted, or centred one-hot classes; undefined where an example has no single label.
  Tensor labels(int64_t outputs) const {
    if (at::isFloatingType(targets_.scalar_type())) return by_example(targets_);
    if (targets_.dim() != 1 || targets_.min().item<int64_t>() < 0 || targets_.max().item<int64_t>() >= outputs) return {};
    const Tensor Y = at::one_hot(targets_, outputs).to(at::kDouble);
    return Y - Y.mean(0, true);
  }

  /// Δ(Df) and the linearisation's error, from both networks' Jacobians a block of inputs at a time.
  void compare_jacobians(const Version& v, const Version& first, const Tensor& f, KernelMoment& m) {
    const int64_t n = inputs_.front().size(0);
    int64_t widest = 1;
    for (const Tensor& w : v.weights) widest = std::max(widest, w.numel());
    const int64_t block = std::clamp<int64_t>(options_.memory / (int64_t{32} * widest), 1, 64);
    double difference = 0, size = 0;
    Tensor linear = at::zeros_like(f);
    const auto values = [](const Tensors& outputs) { return by_example(outputs.at(0)); };
    for (int64_t begin = 0; begin < n; begin += block) {
      const int64_t count = std::min(block, n - begin);
      Tensors some;
      for (const Tensor& t : inputs_) some.push_back(t.narrow(0, begin, count));
      put(first.weights, first.buffers);
      const std::vector<FactorSet> J_first = example_gradients(model_, some, {}, values);
      put(v.weights, v.buffers);
      const std::vector<FactorSet> J = example_gradients(model_, some, {}, values);
      for (size_t o = 0; o < J.size(); ++o)
        for (size_t l = 0; l < v.weights.size(); ++l) {
          const int64_t numbers = v.weights[l].numel();
          const at::TensorOptions options = f.options();
          const Tensor a = materialise(J_first[o].parameters[l], count, numbers, options), b = materialise(J[o].parameters[l], count, numbers, options);
          size += a.square().sum().item<double>();
          difference += (b - a).square().sum().item<double>();
          linear.narrow(0, begin, count).select(1, int64_t(o)).add_(at::matmul(a, (v.weights[l] - first.weights[l]).reshape(-1)));
        }
    }
    m.change_of_kernel = std::sqrt(difference / size);
    const Tensor change = f - f_first_;
    if (const double moved = change.norm().item<double>(); moved > 0) m.linearisation_error = (change - linear).norm().item<double>() / moved;
  }

  /// ‖K(next) − K‖/(η‖K‖). Of the step as it was made: a derivative at one point would miss what kinks do between the two.
  double velocity(const Version& v, const Tensor& K) {
    put(v.next, v.buffers);
    return ((kernel() - K).norm() / K.norm()).item<double>() / v.lr;
  }

  Model& model_;
  const Objective& objective_;
  std::string reduction_;
  Tensors inputs_;
  Tensor targets_;
  const EvolutionOptions& options_;
  Tensor K_first_, K_before_, f_first_;
  double loss_first_ = 0;
};

}  // namespace

std::vector<KernelMoment> kernel_evolution(const Recording& recording, const Learner& learner, const Dataset& data, const Tensors& inputs, const Tensor& targets,
                                           const EvolutionOptions& options) {
  if (inputs.empty() || inputs.front().size(0) < 4) throw InvalidInput("kernel_evolution: four inputs or more are needed");
  if (!targets.defined()) throw InvalidInput("kernel_evolution: the inputs' targets are needed");
  require_finite(inputs, "kernel_evolution", "the inputs to look at");
  require_finite({targets}, "kernel_evolution", "their targets");
  const OwnWeights own(learner.model);
  const std::vector<Version> versions = versions_of(recording, learner, data, options);
  const auto objective = learner.objective ? learner.objective(recording.manifest()) : make_objective(recording.manifest().objective, recording.manifest().reduction);
  Evolution evolution(learner.model, *objective, recording.manifest().reduction, inputs, targets, options);
  std::vector<KernelMoment> moments;
  for (const Version& v : versions) {
    moments.push_back(evolution.look(v, versions.front()));
    if (options.progress) options.progress("kernels", int64_t(moments.size()), int64_t(versions.size()));
  }
  return moments;
}

std::string evolution_csv(const std::vector<KernelMoment>& moments) {
  std::string text =
      "step,time,loss,distance,distance_to_previous,alignment,label_alignment,label_share,rank_entropy,rank_participation,rank_stable,velocity,change_of_kernel,change_of_loss,"
      "lazy_ratio,linearisation_error\n";
  for (const KernelMoment& m : moments)
    text += fmt::format("{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}\n", m.step, m.time, m.loss, m.distance, m.distance_to_previous, m.alignment, m.label_alignment, m.label_share,
                        m.ranks.entropy, m.ranks.participation, m.ranks.stable, m.velocity, m.change_of_kernel, m.change_of_loss, m.lazy_ratio(), m.linearisation_error);
  return text;
}

}  // namespace pathkernel
