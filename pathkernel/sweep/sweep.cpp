#include <pathkernel/sweep/sweep.h>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/zeros.h>
#include <fmt/format.h>
#include <pathkernel/core/error.h>
#include <pathkernel/model/own_weights.h>
#include <pathkernel/sweep/evaluation.h>
#include <pathkernel/sweep/query_sets.h>
#include <pathkernel/sweep/sweeping.h>

#include <algorithm>
#include <chrono>
#include <optional>

namespace pathkernel {
namespace {

/// Refused here, where the reason is known, rather than carried into numbers that mean nothing.
void check_queries(const Queries& queries, const Dataset& data) {
  for (const Tensor& inputs : queries.inputs) {
    if (at::isFloatingType(inputs.scalar_type()) && !inputs.isfinite().all().item<bool>()) throw InvalidInput("explain: the queries' inputs hold NaN or infinite numbers");
  }
  const Tensor& labels = queries.targets;
  if (!labels.defined() || at::isFloatingType(labels.scalar_type()) || !data.is_classification()) return;
  const int64_t least = labels.min().item<int64_t>(), most = labels.max().item<int64_t>(), classes = int64_t(data.class_names.size());
  if (least < 0 || most >= classes) {
    throw InvalidInput(fmt::format("explain: the queries' labels go from {} to {}, but the training data have {} classes (0 to {})", least, most, classes, classes - 1));
  }
}

void check_set(const QuerySet& set, int64_t inputs) {
  if (set.size() == 0 || set.weights.sizes() != set.members.sizes()) throw InvalidInput(fmt::format("explain: the set '{}' has no inputs, or not as many weights", set.name));
  const int64_t least = set.members.min().item<int64_t>(), most = set.members.max().item<int64_t>();
  if (least < 0 || most >= inputs) throw InvalidInput(fmt::format("explain: the set '{}' names input {}, but the queries have {} (0 to {})", set.name, least < 0 ? least : most, inputs, inputs - 1));
}

/// Domingos' K(x, x_i) is a number only where the network gives one (theory 1).
void check_path_kernel(Model& model, const Dataset& data) {
  const at::AutoGradMode off(false);
  const Tensors one = take(data, at::zeros({1}, at::kLong), model.parameters().front().tensor.scalar_type()).inputs;
  const int64_t outputs = model.forward(one, Mode::eval).front().numel();
  if (outputs != 1) throw InvalidInput(fmt::format("explain: the path kernel K(x, x_i) needs a network with one output, and this one gives {}; leave the path kernel out", outputs));
}

void check_asked(const Recording& recording, Model& model, const Dataset& data, const Queries& queries, const SweepOptions& options) {
  if (queries.inputs.empty() || queries.input_count() == 0) throw InvalidInput("explain: no queries were given");
  if (recording.manifest().dtype == "double" && options.precision == at::kFloat) {
    throw InvalidInput("explain: a run trained in float64 is evaluated in float64; use precision double");
  }
  if (model.parameters().empty()) throw InvalidInput("explain: the model has no parameters");
  check_queries(queries, data);
  for (const QuerySet& set : queries.sets) check_set(set, queries.input_count());
  if (options.path_kernel) check_path_kernel(model, data);
  if (options.statistics && model.buffers().empty()) {
    throw InvalidInput("explain: shares of the running statistics were asked for, and this network has no buffers; leave statistics out");
  }
}

Queries first_of(const Queries& queries, int64_t count) {
  Queries some = queries;
  if (!queries.sets.empty()) {
    some.sets.resize(size_t(count));
    return some;
  }
  some.inputs = rows(queries.inputs, 0, count);
  if (queries.targets.defined()) some.targets = queries.targets.narrow(0, 0, count);
  if (!queries.info.empty()) some.info.resize(size_t(count));
  return some;
}

constexpr int64_t most_compared = 4, most_compared_members = 32;

/// What strides are compared on: a few queries; of sets, a few inputs each.
Queries compared(const Queries& queries) {
  return queries.sets.empty() ? first_of(queries, std::min(most_compared, queries.asked())) : sample_of_sets(queries, most_compared, most_compared_members);
}

/// How far stride K moves the shares: a few queries swept again with stride 1; of sets, samples of them, swept with both.  [m]
Tensor stride_deviation(const Ledger& ledger, const Recording& recording, const Learner& learner, const Dataset& data, const Queries& queries, SweepOptions options) {
  const Queries some = compared(queries);
  options.sampled_steps = 0;
  options.keep = data.size();
  options.path_kernel = options.statistics = false;
  options.planned = nullptr;
  options.keeper = nullptr;
  std::optional<Ledger> of_samples;
  if (!some.sets.empty()) of_samples = Sweeping(recording, learner, data, some, options).run({});
  options.stride = 1;
  const Ledger exact = Sweeping(recording, learner, data, some, options).run({});
  Tensor deviation = at::zeros({exact.query_count()}, at::kDouble);
  for (int64_t q = 0; q < exact.query_count(); ++q) {  // over the examples that the ledger kept
    const Shares ours = (of_samples ? *of_samples : ledger).shares(q), theirs = exact.shares(q);
    const Tensor truth = at::zeros({data.size()}, at::kDouble).index_copy_(0, theirs.examples, theirs.values).index_select(0, ours.examples);
    const double size = truth.norm().item<double>();
    if (size > 0) deviation[q] = (ours.values - truth).norm() / size;
  }
  return deviation;
}

/// The window that stands for the whole: from a checkpoint in the middle, whole blocks of `stride` steps.
Window timed_window(const Window& window, int64_t stride, int64_t steps, const std::vector<int64_t>& checkpoints) {
  int64_t from = window.from;
  for (const int64_t c : checkpoints) {
    if (c > window.from && c <= window.from + window.steps() / 2) from = c;
  }
  const int64_t blocks = std::max<int64_t>(1, steps / stride);
  return {from, std::min(window.until, from + blocks * stride)};
}

/// Seconds of a step, and of what its sample of the uncertainty takes beside it.
struct StepTime {
  double step = 0, sample = 0;
  int64_t steps = 0;  ///< how many it comes from
};

/// Sweeps about so many steps in the middle of the window, and forgets them.  @param options  as the run's, with what it keeps
StepTime time_steps(const Recording& recording, const Learner& learner, const Dataset& data, const Queries& queries, SweepOptions options, const Window& whole, int64_t steps) {
  const Window window = timed_window(whole, options.stride, steps, recording.checkpoint_steps());
  Timings timings;
  auto begin = std::chrono::steady_clock::now();
  options.timings = &timings;
  options.keeper = nullptr;
  options.from = window.from;
  options.until = window.until;
  options.sampled_steps = options.sampled_steps > 0 ? window.steps() : 0;
  options.planned = [&](const SweepPlan&) { timings.clear(), begin = std::chrono::steady_clock::now(); };  // what comes before is done once
  Sweeping(recording, learner, data, queries, options).run({});
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  const double steps_done = double(window.steps()), sample = timings["uncertainty of the split"] / steps_done;
  return {(seconds - timings["replay up to the stretch"]) / steps_done - sample, sample, window.steps()};
}

/// The expected time of the planned chunks, and of the few queries that are swept again where steps share a gradient.
void estimate_time(SweepPlan& plan, const Recording& recording, const Learner& learner, const Dataset& data, const Queries& queries, SweepOptions options) {
  constexpr double most_steps = 16, enough_seconds = 2;
  const Window whole{options.from, options.from + plan.sizes.steps};
  const auto time = [&](const Queries& some) {
    const StepTime first = time_steps(recording, learner, data, some, options, whole, 1);  // warms up, and says how many are affordable
    return time_steps(recording, learner, data, some, options, whole, int64_t(std::clamp(enough_seconds / std::max(1e-9, first.step + first.sample), 1.0, most_steps)));
  };
  options.keep = plan.keep;
  const StepTime of_a_chunk = time(first_of(queries, plan.inputs_per_chunk));
  const double T = double(plan.sizes.steps), sampled = std::min(double(options.sampled_steps), T);
  plan.timed_steps = of_a_chunk.steps;
  plan.seconds = double(plan.chunks) * (of_a_chunk.step * T + of_a_chunk.sample * sampled);
  if (options.stride == 1) return;
  options.sampled_steps = 0;
  if (!queries.sets.empty()) plan.seconds += time(compared(queries)).step * T;
  options.stride = 1;
  plan.seconds += time(compared(queries)).step * T;
}

}  // namespace

Ledger sweep(const Recording& recording, const Learner& learner, const Dataset& data, const Queries& queries, const SweepOptions& options, const Progress& progress) {
  const OwnWeights own(learner.model);
  check_asked(recording, learner.model, data, queries, options);
  Ledger ledger = Sweeping(recording, learner, data, queries, options).run(progress);
  if (options.stride > 1 && options.compare_strides) ledger.certificate.stride_deviation = stride_deviation(ledger, recording, learner, data, queries, options);
  return ledger;
}

Tensor wrong_inputs(const Recording& recording, const Learner& learner, const Dataset& data, const Queries& queries, const SweepOptions& options) {
  const OwnWeights own(learner.model);
  check_asked(recording, learner.model, data, queries, options);
  if (!queries.targets.defined() || !data.is_classification())
    throw InvalidInput("explain: aggregate wrong needs queries with class labels, and these have none; use mean, or a file of sets");
  return Sweeping(recording, learner, data, queries, options).wrong();
}

SweepPlan plan_sweep(const Recording& recording, const Learner& learner, const Dataset& data, const Queries& queries, const SweepOptions& options) {
  const OwnWeights own(learner.model);
  check_asked(recording, learner.model, data, queries, options);
  SweepPlan plan = Sweeping(recording, learner, data, queries, options).plan();
  if (options.planned) options.planned(plan);
  estimate_time(plan, recording, learner, data, queries, options);
  return plan;
}

}  // namespace pathkernel
