#include <pathkernel/core/error.h>
#include <pathkernel/train/schedule.h>

#include <fmt/format.h>

#include <cmath>
#include <numbers>

namespace pathkernel {
namespace {

/// Half a cosine from `from` (done = 0) to `to` (done = 1), in torch's order of operations.
double annealed(double from, double to, double done) { return to + (from - to) / 2 * (std::cos(std::numbers::pi * done) + 1); }

double one_cycle(double lr, int64_t step, int64_t steps) {
  const double first = lr / 25, last = first / 1e4;
  const double top = 0.3 * static_cast<double>(steps) - 1, end = static_cast<double>(steps - 1), at = static_cast<double>(step);
  if (at <= top) return annealed(first, lr, at / top);
  return annealed(lr, last, (at - top) / (end - top));
}

/// Step t of T' of the schedule itself.
double without_warmup(const OptimizerSettings& s, int64_t step, int64_t steps) {
  if (s.schedule == "constant") return s.lr;
  if (s.schedule == "step") return s.lr * std::pow(s.lr_gamma, static_cast<double>(step / s.lr_step));
  if (s.schedule == "one-cycle") return one_cycle(s.lr, step, steps);
  const double done = static_cast<double>(step) / static_cast<double>(steps);
  return s.lr * ((1 + std::cos(std::numbers::pi * done)) / 2);
}

}  // namespace

void validate_schedule(const OptimizerSettings& s) {
  if (s.schedule != "constant" && s.schedule != "step" && s.schedule != "cosine" && s.schedule != "one-cycle")
    throw InvalidInput(fmt::format("unknown schedule \"{}\": use constant, step, cosine or one-cycle", s.schedule));
  if (s.warmup < 0) throw InvalidInput(fmt::format("schedule: a warm-up takes 0 steps or more, but got {}", s.warmup));
  if (s.schedule != "step" && s.lr_step != 0)
    throw InvalidInput(fmt::format("schedule: {} has no setting lr_step; it belongs to the schedule step", s.schedule));
  if (s.schedule == "step" && s.lr_step <= 0)
    throw InvalidInput(fmt::format("schedule step: lr_step must be how many steps the learning rate stays, 1 or more, but got {}", s.lr_step));
  if (!std::isfinite(s.lr_gamma) || s.lr_gamma <= 0)
    throw InvalidInput(fmt::format("schedule: lr_gamma must be a number above 0, but got {}", s.lr_gamma));
}

double learning_rate(const OptimizerSettings& settings, int64_t step, int64_t steps) {
  validate_schedule(settings);
  const int64_t n = settings.warmup;
  if (n > 0 && n >= steps)
    throw InvalidInput(fmt::format("schedule: a warm-up of {} steps leaves nothing of a run of {}; make it shorter, or the run longer", n, steps));
  if (step < n) return without_warmup(settings, 0, steps - n) * (static_cast<double>(step + 1) / static_cast<double>(n + 1));
  return without_warmup(settings, step - n, steps - n);
}

std::string describe_schedule(const OptimizerSettings& s) {
  std::string text = s.warmup > 0 ? fmt::format("{} steps of warm-up, then ", s.warmup) : "";
  text += s.schedule;
  if (s.schedule == "step") text += fmt::format(": times {:g} every {} steps", s.lr_gamma, s.lr_step);
  return text;
}

}  // namespace pathkernel
