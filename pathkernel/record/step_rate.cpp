#include <pathkernel/record/step_rate.h>

#include <pathkernel/core/error.h>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

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

}  // namespace pathkernel
