#include <pathkernel/core/error.h>
#include <pathkernel/train/optimizer_settings.h>
#include <pathkernel/train/schedule.h>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

namespace pathkernel {
namespace {

struct Kind {
  std::string name;
  std::vector<std::string> settings;  ///< those it reads, besides lr, clipping and schedule
};

const std::vector<Kind>& kinds() {
  static const std::vector<Kind> all = {
      {"sgd", {"momentum", "dampening", "nesterov", "weight_decay", "decoupled"}},
      {"adam", {"beta1", "beta2", "eps", "amsgrad", "weight_decay"}},
      {"adamw", {"beta1", "beta2", "eps", "amsgrad", "weight_decay"}},
      {"nadam", {"beta1", "beta2", "eps", "momentum_decay", "weight_decay", "decoupled"}},
      {"rmsprop", {"momentum", "alpha", "eps", "centered", "weight_decay"}},
      {"adagrad", {"eps", "lr_decay", "initial_accumulator", "weight_decay"}},
      {"radam", {"beta1", "beta2", "eps", "weight_decay", "decoupled"}},
      {"adamax", {"beta1", "beta2", "eps", "weight_decay"}},
      {"adadelta", {"alpha", "eps", "weight_decay"}},
      {"lion", {"beta1", "beta2", "weight_decay"}},
      {"muon", {"momentum", "nesterov", "eps", "weight_decay"}},
  };
  return all;
}

const Kind& kind_of(const std::string& optimizer) {
  const auto found = std::find_if(kinds().begin(), kinds().end(), [&](const Kind& k) { return k.name == optimizer; });
  if (found == kinds().end()) throw InvalidInput(fmt::format("unknown optimizer \"{}\": use one of {}", optimizer, fmt::join(optimizer_names(), ", ")));
  return *found;
}

void require(bool holds, const char* what, double got) {
  if (!holds) throw InvalidInput(fmt::format("optimizer: {}, but got {}", what, got));
}

void require_from_zero(const char* what, double got) {
  if (!std::isfinite(got) || got < 0) throw InvalidInput(fmt::format("optimizer: {} must be a number ≥ 0, but got {}", what, got));
}

/// Settings that are off unless asked for: where they are on, the optimizer must read them.
void refuse_ignored(const OptimizerSettings& s) {
  const std::pair<const char*, bool> switched_on[] = {
      {"momentum", s.momentum != 0}, {"dampening", s.dampening != 0}, {"nesterov", s.nesterov},
      {"amsgrad", s.amsgrad},        {"centered", s.centered},        {"lr_decay", s.lr_decay != 0},
      {"decoupled", s.decoupled},    {"initial_accumulator", s.initial_accumulator != 0}};
  for (const auto& [setting, on] : switched_on)
    if (on && !uses_setting(s.name, setting))
      throw InvalidInput(fmt::format("optimizer: {} has no setting {}; it belongs to {}", s.name, setting, users_of_setting(setting)));
}

void validate(const NewtonSchulz& n) {
  require(n.steps >= 0 && n.steps < 100, "muon takes 0 to 99 steps of Newton and Schulz", double(n.steps));
  if (n.adjust_lr != "original" && n.adjust_lr != "match_rms_adamw")
    throw InvalidInput(fmt::format("optimizer: muon adjusts its learning rate by original or match_rms_adamw, but got {}", n.adjust_lr));
}

}  // namespace

std::vector<std::string> optimizer_names() {
  std::vector<std::string> names;
  for (const Kind& kind : kinds()) names.push_back(kind.name);
  return names;
}

OptimizerSettings default_settings(const std::string& optimizer) {
  OptimizerSettings s;
  s.name = kind_of(optimizer).name;
  if (s.name == "adam" || s.name == "adamw" || s.name == "radam") s.lr = 0.001;
  if (s.name == "nadam" || s.name == "adamax") s.lr = 0.002;
  if (s.name == "adadelta") {
    s.lr = 1;
    s.alpha = 0.9;
    s.eps = 1e-6;
  }
  if (s.name == "adagrad") s.eps = 1e-10;
  if (s.name == "lion") {
    s.lr = 1e-4;
    s.beta2 = 0.99;
  }
  if (s.name == "muon") {
    s.lr = 0.001;
    s.momentum = 0.95;
    s.nesterov = true;
    s.eps = 1e-7;
  }
  return s;
}

bool uses_setting(const std::string& optimizer, const std::string& setting) {
  const std::vector<std::string>& used = kind_of(optimizer).settings;
  return std::find(used.begin(), used.end(), setting) != used.end();
}

std::string users_of_setting(const std::string& setting) {
  std::vector<std::string> users;
  for (const Kind& kind : kinds())
    if (uses_setting(kind.name, setting)) users.push_back(kind.name);
  return fmt::format("{}", fmt::join(users, ", "));
}

void validate(const OptimizerSettings& s) {
  kind_of(s.name);
  refuse_ignored(s);
  require_from_zero("lr", s.lr);
  require_from_zero("weight decay", s.weight_decay);
  require_from_zero("momentum", s.momentum);
  require(std::isfinite(s.dampening), "dampening must be a number", s.dampening);
  if (s.dampening != 0 && s.momentum == 0) throw InvalidInput("optimizer: dampening is of momentum's memory, and momentum is 0; leave it out");
  if (s.name == "sgd" && s.nesterov && (s.momentum <= 0 || s.dampening != 0))
    throw InvalidInput("optimizer: Nesterov needs a momentum above zero and no dampening");
  if (uses_setting(s.name, "beta1")) {
    require(s.beta1 >= 0 && s.beta1 < 1, "beta1 must be in [0, 1)", s.beta1);
    require(s.beta2 >= 0 && s.beta2 < 1, "beta2 must be in [0, 1)", s.beta2);
  }
  if (s.name == "lion") require(s.beta2 > 0, "lion's beta2 must be above 0", s.beta2);  // its memory is what the update is read from
  if (uses_setting(s.name, "eps")) require_from_zero("eps", s.eps);
  if (s.name == "muon") validate(s.newton_schulz);
  if (s.name == "nadam") require_from_zero("momentum_decay", s.momentum_decay);
  if (s.name == "rmsprop") require_from_zero("alpha", s.alpha);
  require_from_zero("lr_decay", s.lr_decay);
  require_from_zero("initial_accumulator", s.initial_accumulator);
  require_from_zero("clip_norm", s.clip_norm);
  require_from_zero("clip_value", s.clip_value);
  validate_schedule(s);
}

std::string describe(const OptimizerSettings& s) {
  std::string text = fmt::format("{}, lr {:g} ({})", s.name, s.lr, describe_schedule(s));
  const auto number = [&](const char* setting, const char* words, double value) {
    if (value != 0 && uses_setting(s.name, setting)) text += fmt::format(", {} {:g}", words, value);
  };
  const auto flag = [&](bool on, const char* words) {
    if (on) text += fmt::format(", {}", words);
  };
  number("momentum", s.nesterov ? "Nesterov momentum" : "momentum", s.momentum);
  number("dampening", "dampening", s.dampening);
  if (uses_setting(s.name, "beta1")) text += fmt::format(", betas {:g} and {:g}", s.beta1, s.beta2);
  number("alpha", "alpha", s.alpha);
  number("momentum_decay", "momentum decay", s.momentum_decay);
  number("eps", "eps", s.eps);
  number("lr_decay", "lr decay", s.lr_decay);
  number("initial_accumulator", "initial accumulator", s.initial_accumulator);
  flag(s.amsgrad, "AMSGrad");
  flag(s.centered, "centered");
  number("weight_decay", s.decoupled ? "decoupled weight decay" : "weight decay", s.weight_decay);
  if (s.clip_norm != 0) text += fmt::format(", gradients clipped to the norm {:g}", s.clip_norm);
  if (s.clip_value != 0) text += fmt::format(", gradients clipped to ±{:g}", s.clip_value);
  return text;
}

}  // namespace pathkernel
