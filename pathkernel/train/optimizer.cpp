#include <pathkernel/core/error.h>
#include <pathkernel/train/adam.h>
#include <pathkernel/train/optimizer.h>
#include <pathkernel/train/sgd.h>

#include <fmt/format.h>

#include <cmath>
#include <numbers>

namespace pathkernel {
namespace {

void require(bool holds, const char* what, double got) {
  if (!holds) throw InvalidInput(fmt::format("optimizer: {}, but got {}", what, got));
}

/// What torch.optim would refuse, and settings that the optimizer would silently ignore.
void validate(const OptimizerSettings& s) {
  require(std::isfinite(s.lr) && s.lr >= 0, "lr must be a number ≥ 0", s.lr);
  require(std::isfinite(s.weight_decay) && s.weight_decay >= 0, "weight decay must be a number ≥ 0", s.weight_decay);
  if (s.schedule != "constant" && s.schedule != "cosine")
    throw InvalidInput(fmt::format("unknown schedule \"{}\": use constant or cosine", s.schedule));
  if (s.name == "sgd") {
    require(std::isfinite(s.momentum) && s.momentum >= 0, "momentum must be a number ≥ 0", s.momentum);
    require(std::isfinite(s.dampening), "dampening must be a number", s.dampening);
    if (s.nesterov && (s.momentum <= 0 || s.dampening != 0))
      throw InvalidInput("optimizer: Nesterov needs a momentum above zero and no dampening");
    return;
  }
  require(s.beta1 >= 0 && s.beta1 < 1, "beta1 must be in [0, 1)", s.beta1);
  require(s.beta2 >= 0 && s.beta2 < 1, "beta2 must be in [0, 1)", s.beta2);
  require(std::isfinite(s.eps) && s.eps >= 0, "eps must be a number ≥ 0", s.eps);
  if (s.momentum != 0 || s.dampening != 0 || s.nesterov)
    throw InvalidInput(fmt::format("optimizer: {} has no momentum, dampening or Nesterov setting; its memory is beta1", s.name));
}

}  // namespace

std::unique_ptr<Optimizer> make_optimizer(const OptimizerSettings& settings, const NamedTensors& parameters) {
  if (settings.name != "sgd" && settings.name != "adam" && settings.name != "adamw")
    throw InvalidInput(fmt::format("unknown optimizer \"{}\": use sgd, adam or adamw", settings.name));
  validate(settings);
  if (settings.name == "sgd") return std::make_unique<Sgd>(settings, parameters);
  return std::make_unique<Adam>(settings, parameters);
}

double learning_rate(const OptimizerSettings& settings, int64_t step, int64_t steps) {
  if (settings.schedule == "constant") return settings.lr;
  if (settings.schedule != "cosine")
    throw InvalidInput(fmt::format("unknown schedule \"{}\": use constant or cosine", settings.schedule));
  const double done = static_cast<double>(step) / static_cast<double>(steps);
  return settings.lr * ((1 + std::cos(std::numbers::pi * done)) / 2);
}

}  // namespace pathkernel
