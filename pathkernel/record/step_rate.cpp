#include <pathkernel/record/step_rate.h>

#include <pathkernel/core/error.h>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <compare>
#include <set>

namespace pathkernel {
namespace {

/// Adds the learning rates of a step's groups of parameters.
void collect_rates(const nlohmann::json& groups, std::set<double>& rates) {
  for (const auto& [key, value] : groups.items()) {
    if (value.is_structured()) collect_rates(value, rates);
    else if (key == "lr" && value.is_number()) rates.insert(value.get<double>());
  }
}

struct Momentum {
  double mu = 0, dampening = 0;
  bool nesterov = false;
  auto operator<=>(const Momentum&) const = default;
};

/// @param settings  of the optimizer, where the step's groups do not have their own
Momentum momentum_of(const StepRecord& record, const OptimizerSettings& settings, const std::string& who) {
  if (record.groups.empty()) return {settings.momentum, settings.dampening, settings.nesterov};
  std::set<Momentum> all;
  for (const nlohmann::json& group : nlohmann::json::parse(record.groups)) {
    if (const std::string name = group.value("optimizer", "SGD"); name != "SGD")
      throw InvalidInput(fmt::format("{}: some parameters are trained by SGD and others by {}; ask for tangent kernels at single steps", who, name));
    all.insert({group.at("momentum"), group.at("dampening"), group.at("nesterov")});
  }
  if (all.size() > 1)
    throw InvalidInput(fmt::format("{}: at step {} the optimizer's groups of parameters have different momenta ({} to {}); ask for tangent kernels at single steps", who, record.step,
                                   all.begin()->mu, all.rbegin()->mu));
  return *all.begin();
}

/// The run began with a momentum, of steps made before.
bool begins_in_motion(const Recording& recording) {
  const NamedTensors state = recording.checkpoint(0).optimizer;
  return std::any_of(state.begin(), state.end(), [](const NamedTensor& t) { return t.name.starts_with("momentum_buffer"); });
}

}  // namespace

double step_rate(const StepRecord& record, const std::string& who) {
  if (record.groups.empty()) return record.lr;
  std::set<double> rates;
  collect_rates(nlohmann::json::parse(record.groups), rates);
  if (rates.size() > 1)
    throw InvalidInput(fmt::format("{}: at step {} the optimizer's groups of parameters have different learning rates ({} to {}); ask for tangent kernels at single steps", who,
                                   record.step, *rates.begin(), *rates.rbegin()));
  return record.lr;
}

std::vector<double> step_pushes(const Recording& recording, const std::string& who) {
  const int64_t T = recording.steps();
  std::vector<double> pushes;
  std::vector<Momentum> momenta;
  for (int64_t s = 0; s < T; ++s) {
    const StepRecord record = recording.step(s);
    pushes.push_back(step_rate(record, who));
    momenta.push_back(momentum_of(record, recording.manifest().optimizer, who));
  }
  const auto moves = [](const Momentum& m) { return m.mu != 0; };
  if (const auto first = std::find_if(momenta.begin(), momenta.end(), moves); first != momenta.end() && !begins_in_motion(recording)) first->dampening = 0;
  double ahead = 0;  // Σ_{t > s} D_t Π_{r = s+1..t} μ_r: how far m_s still moves the weights
  for (int64_t s = T - 1; s >= 0; --s) {
    const auto& [mu, dampening, nesterov] = momenta[size_t(s)];
    if (mu == 0) continue;  // torch leaves m alone at such a step, E_s = η
    const double rate = pushes[size_t(s)], m = ahead + (nesterov ? rate * mu : rate);
    pushes[size_t(s)] = (1 - dampening) * m + (nesterov ? rate : 0);
    ahead = mu * m;
  }
  return pushes;
}

}  // namespace pathkernel
