#include <pathkernel/kernel/path_kernel.h>

#include <pathkernel/core/error.h>
#include <pathkernel/model/own_weights.h>
#include <pathkernel/record/replay.h>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <set>

namespace pathkernel {
namespace {

/// The last checkpoint that is not behind step s.
int64_t checkpoint_before(const Recording& recording, int64_t s) {
  int64_t last = 0;
  for (const int64_t c : recording.checkpoint_steps())
    if (c <= s) last = std::max(last, c);
  return last;
}

/// Adds the learning rates of a step's groups of parameters.
void collect_rates(const nlohmann::json& groups, std::set<double>& rates) {
  for (const auto& [key, value] : groups.items()) {
    if (value.is_structured()) collect_rates(value, rates);
    else if (key == "lr" && value.is_number()) rates.insert(value.get<double>());
  }
}

}  // namespace

double time_of_step(const StepRecord& record, const char* who) {
  if (record.groups.empty()) return record.lr;
  std::set<double> rates;
  collect_rates(nlohmann::json::parse(record.groups), rates);
  if (rates.size() > 1)
    throw InvalidInput(fmt::format("{}: at step {} the optimizer's groups of parameters have different learning rates ({} to {}); ask for tangent kernels at single steps",
                                   who, record.step, *rates.begin(), *rates.rbegin()));
  return record.lr;
}

Tensor tangent_kernel_at(const Recording& recording, const Learner& learner, const Dataset& data, int64_t s, const Tensors& x, const Tensors& y, const TangentOptions& options) {
  if (s < 0 || s > recording.steps())
    throw InvalidInput(fmt::format("tangent_kernel: step {} was asked for, but {} has {} (0: the untrained network, {}: the trained one)", s, recording.folder(),
                                   recording.steps(), recording.steps()));
  const OwnWeights own(learner.model);
  Replay replay(recording, learner, data);
  replay.restore(checkpoint_before(recording, s));
  while (replay.position() < s) replay.advance();
  return tangent_kernel(learner.model, x, y, options);
}

Tensor path_kernel(const Recording& recording, const Learner& learner, const Dataset& data, const Tensors& x, const Tensors& y, const PathKernelOptions& options) {
  if (recording.steps() == 0) throw InvalidInput(fmt::format("path_kernel: the recording {} has no steps", recording.folder()));
  if (options.every < 1) throw InvalidInput(fmt::format("path_kernel: every is {}; 1 or more steps are expected", options.every));
  const OwnWeights own(learner.model);
  Replay replay(recording, learner, data);
  replay.restore(0);
  TangentOptions quiet = options.tangent;
  quiet.progress = {};
  Tensor sum;
  while (replay.position() < recording.steps()) {
    const int64_t s = replay.position(), until = std::min(s + options.every, recording.steps());
    const Tensor kernel = tangent_kernel(learner.model, x, y, quiet);
    double time = 0;
    while (replay.position() < until) time += time_of_step(replay.advance().record, "path_kernel");
    sum = sum.defined() ? sum.add_(kernel, time) : kernel * time;
    if (options.tangent.progress) options.tangent.progress("path kernel", until, recording.steps());
  }
  return sum;
}

}  // namespace pathkernel
