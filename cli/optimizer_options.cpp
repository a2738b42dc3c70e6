#include "optimizer_options.h"

#include "checks.h"

#include <pathkernel/core/error.h>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace pathkernel::cli {
namespace {

/// "--momentum-decay" -> "momentum_decay"
std::string setting_of(const std::string& option) {
  std::string setting = option.substr(2);
  std::replace(setting.begin(), setting.end(), '-', '_');
  return setting;
}

/// Options of one schedule alone.
void refuse_ignored(const std::string& option, const std::string& setting, const std::string& schedule) {
  const std::string owner = setting == "lr_step" || setting == "lr_gamma" ? "step" : setting == "max_lr" ? "one-cycle" : schedule;
  if (owner != schedule) throw InvalidInput(fmt::format("{}: belongs to --schedule {}, but the schedule is {}", option, owner, schedule));
}

}  // namespace

template <class T>
CLI::Option* OptimizerOptions::add(CLI::App& command, const std::string& option, T OptimizerSettings::*field, const std::string& help) {
  const std::string setting = setting_of(option), users = users_of_setting(setting);
  std::vector<Given>& list = users.empty() ? general_ : own_;
  const auto given = [&list, option, setting, field](T value) {
    list.push_back({option, setting, [=](OptimizerSettings& s) { s.*field = value; }});
  };
  const bool of_all = users.empty() || users == fmt::format("{}", fmt::join(optimizer_names(), ", "));
  const std::string text = of_all ? help : users + ": " + help;
  if constexpr (std::is_same_v<T, bool>) return command.add_flag_callback(option, [given] { given(true); }, text);
  else return command.add_option_function<T>(option, given, text);
}

void OptimizerOptions::add_optimizers_own(CLI::App& command) {
  using S = OptimizerSettings;
  add(command, "--momentum", &S::momentum, "momentum (0)");
  add(command, "--dampening", &S::dampening, "dampening of the momentum (0)");
  add(command, "--nesterov", &S::nesterov, "Nesterov's momentum");
  add(command, "--beta1", &S::beta1, "decay of the first moment (0.9)");
  add(command, "--beta2", &S::beta2, "decay of the second moment (0.999), for lion of the memory (0.99)");
  add(command, "--eps", &S::eps, "added to the root of the second moment (1e-8; adagrad: 1e-10)");
  add(command, "--amsgrad", &S::amsgrad, "divide by the largest second moment so far");
  add(command, "--momentum-decay", &S::momentum_decay, "how fast its momentum grows towards beta1 (0.004)");
  add(command, "--alpha", &S::alpha, "decay of the mean square (0.99)");
  add(command, "--centered", &S::centered, "take the mean gradient out of the mean square");
  add(command, "--lr-decay", &S::lr_decay, "the learning rate falls as 1/(1 + steps × this) (0)");
  add(command, "--initial-accumulator", &S::initial_accumulator, "where the sum of squares begins (0)");
  add(command, "--weight-decay", &S::weight_decay, "Weight decay: L2, but decoupled for adamw, lion and muon (0)");
  add(command, "--decoupled", &S::decoupled, "weight decay is decoupled (SGDW)");
}

void OptimizerOptions::add_schedule(CLI::App& command) {
  using S = OptimizerSettings;
  add(command, "--schedule", &S::schedule, "constant, step, cosine to zero over the run, or one-cycle (constant)")
      ->check(CLI::IsMember({"constant", "step", "cosine", "one-cycle"}));
  add(command, "--warmup", &S::warmup, "Steps of linear warm-up in front of the schedule (0)")->check(not_negative);
  add(command, "--lr-step", &S::lr_step, "step: every so many steps …");
  add(command, "--lr-gamma", &S::lr_gamma, "step: … the learning rate is multiplied by this (0.1)");
}

void OptimizerOptions::add_to(CLI::App& command) {
  using S = OptimizerSettings;
  command.add_option("--optimizer", optimizer_, fmt::format("{}", fmt::join(optimizer_names(), ", ")))
      ->capture_default_str()
      ->check(CLI::IsMember(optimizer_names()));
  CLI::Option* lr = add(command, "--lr", &S::lr, "Learning rate (sgd, rmsprop, adagrad: 0.01; adam, adamw, radam, muon: 0.001; nadam, adamax: 0.002; adadelta: 1; lion: 0.0001)");
  command
      .add_option_function<double>(
          "--max-lr", [this](double most) { general_.push_back({"--max-lr", "max_lr", [most](S& s) { s.lr = most; }}); },
          "one-cycle: its highest learning rate, another name for --lr")
      ->excludes(lr);
  add_optimizers_own(command);
  add(command, "--clip-norm", &S::clip_norm, "Shrink gradients to this norm, over all weights, where it is larger")->check(positive);
  add(command, "--clip-value", &S::clip_value, "Cut every number of a gradient to at most this size")->check(positive);
  add_schedule(command);
}

OptimizerSettings OptimizerOptions::settings() const {
  OptimizerSettings settings = default_settings(optimizer_);
  for (const Given& given : own_) {
    if (!uses_setting(optimizer_, given.setting))
      throw InvalidInput(fmt::format("{}: {} has no such setting; it belongs to {}", given.option, optimizer_, users_of_setting(given.setting)));
    given.put(settings);
  }
  for (const Given& given : general_) given.put(settings);
  for (const Given& given : general_) refuse_ignored(given.option, given.setting, settings.schedule);
  validate(settings);
  return settings;
}

}  // namespace pathkernel::cli
