#include <pathkernel/tangent/rule.h>

#include <unordered_map>

namespace pathkernel {
namespace {

const std::unordered_map<std::string, Rule>& all_rules() {
  static const std::unordered_map<std::string, Rule> rules = [] {
    std::unordered_map<std::string, Rule> all;
    for (const RuleTable& table : {linear_rules(), bilinear_rules(), pointwise_rules(), softmax_rules(), normalisation_rules(), selection_rules(), loss_rules()}) {
      for (const auto& [op, rule] : table) all.emplace(op, rule);
    }
    return all;
  }();
  return rules;
}

}  // namespace

const Rule* find_rule(const std::string& name) {
  const auto found = all_rules().find(name);
  return found == all_rules().end() ? nullptr : &found->second;
}

std::vector<std::string> rule_names() {
  std::vector<std::string> names;
  for (const auto& [name, rule] : all_rules()) names.push_back(name);
  return names;
}

}  // namespace pathkernel
