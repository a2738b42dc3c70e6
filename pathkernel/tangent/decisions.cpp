#include <pathkernel/tangent/decisions.h>

#include <ATen/ops/equal.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>

#include <unordered_set>

namespace pathkernel {

bool is_decision(const std::string& name, at::ScalarType result) {
  static const std::unordered_set<std::string> steps = {"aten::round", "aten::floor", "aten::ceil", "aten::trunc", "aten::sign", "aten::sgn",
                                                        "aten::heaviside", "aten::floor_divide", "aten::fix", "aten::bucketize"};
  return !at::isFloatingType(result) || steps.count(name) != 0;
}

bool hides_a_jump(const std::string& name) { return name == "aten::remainder" || name == "aten::fmod" || name == "aten::frac"; }

namespace {

/// Where a choice y = (c ? a : b) went over from one branch to the other while the branches crossed (a − b changed its sign), y is
/// continuous like a maximum, and the rule for aten::where has it. True for the other elements that went over.
Tensor torn(const Tape& at0, const Tape& at1, const Node& node0, const Node& node1, const Tensor& flipped) {
  const auto branch = [](const Tape& tape, const Node& node, int32_t argument) {
    for (const Slot& slot : node.slots) {
      if (slot.argument == argument) return tape.values[size_t(slot.value)].tensor;
    }
    return node.arguments[size_t(argument)].toTensor();
  };
  const Tensor gap0 = branch(at0, node0, 1) - branch(at0, node0, 2), gap1 = branch(at1, node1, 1) - branch(at1, node1, 2);
  return flipped.logical_and((gap0 * gap1).gt(0));
}

}  // namespace

Tensor decided_differently(const Tape& a, const Tape& b) {
  if (&a == &b) return {};
  const auto flags = at::TensorOptions().dtype(at::kBool);
  if (!same_structure(a, b)) return at::ones({a.examples}, flags.device(a.values.front().tensor.device()));
  Tensor differ;
  for (const auto& [node, slot] : a.decisions) {
    const Node& node0 = a.nodes[node];
    const size_t id = size_t(node0.slots[slot].value);
    const Value &x = a.values[id], &y = b.values[id];
    if (at::equal(x.tensor, y.tensor)) continue;
    Tensor moved = x.tensor.ne(y.tensor), owner = x.owner;
    if (node0.name == "aten::where" && node0.slots[slot].argument == 0) {
      moved = torn(a, b, node0, b.nodes[node], moved);
      owner = a.values[size_t(node0.outputs[0])].owner;
      if (!moved.any().item<bool>()) continue;
    }
    const auto on_device = flags.device(x.tensor.device());
    if (!owner.defined()) return at::ones({a.examples}, on_device);
    if (!differ.defined()) differ = at::zeros({a.examples}, on_device);
    differ.index_fill_(0, owner.masked_select(moved), true);
  }
  return differ;
}

}  // namespace pathkernel
