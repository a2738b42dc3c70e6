#include <pathkernel/kernel/path_kernel.h>

#include <pathkernel/core/error.h>
#include <pathkernel/model/own_weights.h>
#include <pathkernel/record/replay.h>
#include <pathkernel/record/step_rate.h>

#include <fmt/format.h>

#include <algorithm>

namespace pathkernel {
namespace {

/// The last checkpoint that is not behind step s.
int64_t checkpoint_before(const Recording& recording, int64_t s) {
  int64_t last = 0;
  for (const int64_t c : recording.checkpoint_steps())
    if (c <= s) last = std::max(last, c);
  return last;
}

}  // namespace

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
    while (replay.position() < until) time += step_rate(replay.advance().record, "path_kernel");
    sum = sum.defined() ? sum.add_(kernel, time) : kernel * time;
    if (options.tangent.progress) options.tangent.progress("path kernel", until, recording.steps());
  }
  return sum;
}

}  // namespace pathkernel
