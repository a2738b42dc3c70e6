#include <pathkernel/sweep/sweep.h>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/zeros.h>
#include <fmt/format.h>
#include <pathkernel/core/error.h>
#include <pathkernel/sweep/evaluation.h>
#include <pathkernel/sweep/sweeping.h>

#include <algorithm>
#include <chrono>

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

/// Domingos' K(x, x_i) is a number only where the network gives one (theory 1).
void check_path_kernel(Model& model, const Dataset& data) {
  const at::AutoGradMode off(false);
  const Tensor one = data.inputs.narrow(0, 0, 1).to(model.parameters().front().tensor.options());
  const int64_t outputs = model.forward({one}, Mode::eval).front().numel();
  if (outputs != 1) throw InvalidInput(fmt::format("explain: the path kernel K(x, x_i) needs a network with one output, and this one gives {}; leave out --path-kernel", outputs));
}

void check_asked(const Recording& recording, Model& model, const Dataset& data, const Queries& queries, const SweepOptions& options) {
  if (queries.inputs.empty() || queries.inputs.front().size(0) == 0) throw InvalidInput("explain: no queries were given");
  if (recording.manifest().dtype == "double" && options.precision == at::kFloat) {
    throw InvalidInput("explain: a run trained in float64 is evaluated in float64; use --precision double");
  }
  if (model.parameters().empty()) throw InvalidInput("explain: the model has no parameters");
  check_queries(queries, data);
  if (options.path_kernel) check_path_kernel(model, data);
}

Queries first_of(const Queries& queries, int64_t count) {
  Queries some = queries;
  some.inputs = rows(queries.inputs, 0, count);
  if (queries.targets.defined()) some.targets = queries.targets.narrow(0, 0, count);
  if (!queries.info.empty()) some.info.resize(size_t(count));
  return some;
}

constexpr int64_t most_compared = 4;

/// How far stride K moves the shares: a few queries swept again with stride 1.  [m]
Tensor stride_deviation(const Ledger& ledger, const Recording& recording, Model& model, const Dataset& data, const Queries& queries, SweepOptions options) {
  const Queries some = first_of(queries, std::min(most_compared, queries.inputs.front().size(0)));
  options.stride = 1;
  options.sampled_steps = 0;
  options.keep = data.size();
  options.path_kernel = false;
  options.planned = nullptr;
  options.keeper = nullptr;
  const Ledger exact = Sweeping(recording, model, data, some, options).run({});
  Tensor deviation = at::zeros({exact.query_count()}, at::kDouble);
  for (int64_t q = 0; q < exact.query_count(); ++q) {  // over the examples that the ledger kept
    const Shares ours = ledger.shares(q), theirs = exact.shares(q);
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
StepTime time_steps(const Recording& recording, Model& model, const Dataset& data, const Queries& queries, SweepOptions options, const Window& whole, int64_t steps) {
  const Window window = timed_window(whole, options.stride, steps, recording.checkpoint_steps());
  Timings timings;
  auto begin = std::chrono::steady_clock::now();
  options.timings = &timings;
  options.keeper = nullptr;
  options.from = window.from;
  options.until = window.until;
  options.sampled_steps = options.sampled_steps > 0 ? window.steps() : 0;
  options.planned = [&](const SweepPlan&) { timings.clear(), begin = std::chrono::steady_clock::now(); };  // what comes before is done once
  Sweeping(recording, model, data, queries, options).run({});
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  const double steps_done = double(window.steps()), sample = timings["uncertainty of the split"] / steps_done;
  return {(seconds - timings["replay up to the stretch"]) / steps_done - sample, sample, window.steps()};
}

/// The expected time of the planned chunks, and of the few queries that are swept again where steps share a gradient.
void estimate_time(SweepPlan& plan, const Recording& recording, Model& model, const Dataset& data, const Queries& queries, SweepOptions options) {
  constexpr double most_steps = 16, enough_seconds = 2;
  const Window whole{options.from, options.from + plan.sizes.steps};
  const auto time = [&](int64_t inputs) {
    const Queries some = first_of(queries, inputs);
    const StepTime first = time_steps(recording, model, data, some, options, whole, 1);  // warms up, and says how many are affordable
    return time_steps(recording, model, data, some, options, whole, int64_t(std::clamp(enough_seconds / std::max(1e-9, first.step + first.sample), 1.0, most_steps)));
  };
  options.keep = plan.keep;
  const StepTime of_a_chunk = time(plan.inputs_per_chunk);
  const double T = double(plan.sizes.steps), sampled = std::min(double(options.sampled_steps), T);
  plan.timed_steps = of_a_chunk.steps;
  plan.seconds = double(plan.chunks) * (of_a_chunk.step * T + of_a_chunk.sample * sampled);
  if (options.stride == 1) return;
  options.stride = 1;
  options.sampled_steps = 0;
  plan.seconds += time(std::min(plan.inputs(), most_compared)).step * T;
}

}  // namespace

Ledger sweep(const Recording& recording, Model& model, const Dataset& data, const Queries& queries, const SweepOptions& options, const Progress& progress) {
  check_asked(recording, model, data, queries, options);
  Ledger ledger = Sweeping(recording, model, data, queries, options).run(progress);
  if (options.stride > 1) ledger.certificate.stride_deviation = stride_deviation(ledger, recording, model, data, queries, options);
  return ledger;
}

SweepPlan plan_sweep(const Recording& recording, Model& model, const Dataset& data, const Queries& queries, const SweepOptions& options) {
  check_asked(recording, model, data, queries, options);
  SweepPlan plan = Sweeping(recording, model, data, queries, options).plan();
  if (options.planned) options.planned(plan);
  estimate_time(plan, recording, model, data, queries, options);
  return plan;
}

}  // namespace pathkernel
