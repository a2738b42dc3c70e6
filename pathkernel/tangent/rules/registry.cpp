#include <pathkernel/tangent/rule.h>

#include <unordered_map>

namespace pathkernel {

const Rule* find_rule(const std::string& name) {
  static const std::unordered_map<std::string, Rule> rules = [] {
    std::unordered_map<std::string, Rule> all;
    for (const RuleTable& table : {linear_rules(), bilinear_rules(), pointwise_rules(), softmax_rules(), normalisation_rules(), selection_rules(), loss_rules()}) {
      for (const auto& [op, rule] : table) all.emplace(op, rule);
    }
    return all;
  }();
  const auto found = rules.find(name);
  return found == rules.end() ? nullptr : &found->second;
}

}  // namespace pathkernel
