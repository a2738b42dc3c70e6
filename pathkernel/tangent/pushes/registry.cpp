#include <pathkernel/tangent/push.h>

#include <unordered_map>

namespace pathkernel {

const PushRule* find_push(const std::string& name) {
  static const std::unordered_map<std::string, PushRule> pushes = [] {
    std::unordered_map<std::string, PushRule> all;
    for (const PushTable& table : {linear_pushes(), bilinear_pushes(), pointwise_pushes(), softmax_pushes(), normalisation_pushes(),
                                   selection_pushes(), loss_pushes()}) {
      for (const auto& [op, push] : table) all.emplace(op, push);
    }
    return all;
  }();
  const auto found = pushes.find(name);
  return found == pushes.end() ? nullptr : &found->second;
}

}  // namespace pathkernel
