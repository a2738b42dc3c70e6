#include <pathkernel/kernel/moments.h>

#include <pathkernel/core/error.h>
#include <pathkernel/core/finite.h>

#include <c10/util/Exception.h>
#include <fmt/format.h>

#include <algorithm>

namespace pathkernel {

std::vector<int64_t> moments_of(const Recording& recording, std::vector<int64_t> steps, int64_t count, const char* who) {
  const int64_t T = recording.steps();
  if (steps.empty())
    for (int64_t k = 0; k < count; ++k) steps.push_back(count == 1 ? 0 : (2 * k * T + count - 1) / (2 * (count - 1)));
  if (steps.empty()) throw InvalidInput(fmt::format("{}: no steps were asked for", who));
  for (const int64_t s : steps)
    if (s < 0 || s > T) throw InvalidInput(fmt::format("{}: step {} was asked for, but {} has {} (0: before the first, {}: at the end)", who, s, recording.folder(), T, T));
  for (size_t k = 1; k < steps.size(); ++k)
    if (steps[k] < steps[k - 1]) throw InvalidInput(fmt::format("{}: step {} was asked for after step {}; an ascending order is expected", who, steps[k], steps[k - 1]));
  steps.erase(std::unique(steps.begin(), steps.end()), steps.end());
  if (steps.front() != 0) steps.insert(steps.begin(), 0);  // what all others are compared with
  return steps;
}

void require_finite(const Tensors& tensors, const char* who, const char* what) {
  for (const Tensor& t : tensors) {
    if (const int64_t row = first_row_not_finite(t); row >= 0)
      throw InvalidInput(fmt::format("{}: {} hold NaN or an infinite number in row {}; leave such rows out", who, what, row));
  }
}

double mean_loss(const Objective& objective, const std::string& reduction, const Tensors& outputs, const Tensor& targets, const char* who) {
  try {
    const Tensor losses = objective.losses(outputs, targets);
    return (reduction == "sum" ? losses.mean() : (losses * objective.weights(losses, targets)).sum()).item<double>();
  } catch (const c10::Error& error) {
    if (targets.dim() != 1 || at::isFloatingType(targets.scalar_type()) || outputs.at(0).dim() != 2) throw;
    throw InvalidInput(fmt::format("{}: labels from {} to {} do not fit a network with {} outputs and the loss {} ({}); leave such examples out", who, targets.min().item<int64_t>(),
                                   targets.max().item<int64_t>(), outputs.at(0).size(1), objective.name(), error.what_without_backtrace()));
  }
}

}  // namespace pathkernel
