#include <pathkernel/tangent/tape.h>

#include <set>

namespace pathkernel {

ValueId Tape::find(const Tensor& tensor) const {
  const auto found = names_.find(tensor.unsafeGetTensorImpl());
  return found == names_.end() ? no_value : found->second;
}

int64_t Tape::bytes() const {
  std::set<const void*> seen;
  int64_t total = 0;
  for (const Value& value : values) {
    if (value.tensor.defined() && seen.insert(value.tensor.storage().data()).second) total += int64_t(value.tensor.storage().nbytes());
  }
  return total;
}

namespace {

/// Two arguments that are no tensors; kinds that are not compared count as equal.
bool same_argument(const c10::IValue& a, const c10::IValue& b) {
  if (a.isInt() && b.isInt()) return a.toInt() == b.toInt();
  if (a.isDouble() && b.isDouble()) return a.toDouble() == b.toDouble();
  if (a.isBool() && b.isBool()) return a.toBool() == b.toBool();
  if (a.isIntList() && b.isIntList()) return a.toIntVector() == b.toIntVector();
  return true;
}

}  // namespace

int argument_index(const Node& node, const char* name) {
  const auto& arguments = node.op.schema().arguments();
  for (size_t k = 0; k < arguments.size(); ++k) {
    if (arguments[k].name() == name) return int(k);
  }
  return -1;
}

std::vector<c10::IValue> filled_arguments(const Node& node, const std::function<Tensor(const Slot&)>& tensor_of) {
  std::vector<c10::IValue> out = node.arguments;
  for (const Slot& slot : node.slots) {
    const Tensor tensor = tensor_of(slot);
    c10::IValue& argument = out[size_t(slot.argument)];
    if (slot.list_position < 0) {
      argument = tensor;
    } else if (argument.isTensorList()) {
      auto list = argument.toTensorVector();
      list[size_t(slot.list_position)] = tensor;
      argument = list;
    } else {
      c10::List<std::optional<Tensor>> list;
      const auto old = argument.toList();
      for (size_t k = 0; k < old.size(); ++k) list.push_back(old.get(k).isTensor() ? std::optional<Tensor>(old.get(k).toTensor()) : std::nullopt);
      list.set(size_t(slot.list_position), tensor);
      argument = list;
    }
  }
  return out;
}

bool same_structure(const Tape& a, const Tape& b, std::string* difference) {
  const auto differ = [&](std::string what) {
    if (difference) *difference = std::move(what);
    return false;
  };
  const size_t common = std::min(a.nodes.size(), b.nodes.size());
  for (size_t k = 0; k < common; ++k) {
    const Node &x = a.nodes[k], &y = b.nodes[k];
    if (x.name != y.name) return differ("operation " + std::to_string(k) + " is " + x.name + " at one end and " + y.name + " at the other");
    if (x.outputs != y.outputs || x.slots.size() != y.slots.size()) return differ("operation " + std::to_string(k) + " (" + x.name + ") reads other values");
    for (size_t j = 0; j < std::min(x.arguments.size(), y.arguments.size()); ++j) {
      if (!same_argument(x.arguments[j], y.arguments[j])) return differ("operation " + std::to_string(k) + " (" + x.name + ") is called with other numbers");
    }
    for (size_t j = 0; j < x.slots.size(); ++j) {
      if (x.slots[j].value != y.slots[j].value) return differ("operation " + std::to_string(k) + " (" + x.name + ") reads other values");
    }
  }
  if (a.nodes.size() != b.nodes.size()) {
    return differ("one end has " + std::to_string(a.nodes.size()) + " operations, the other " + std::to_string(b.nodes.size()));
  }
  for (size_t k = 0; k < a.values.size(); ++k) {
    const Tensor &x = a.values[k].tensor, &y = b.values[k].tensor;
    if (x.defined() && y.defined() && x.sizes() != y.sizes()) return differ("value " + std::to_string(k) + " is " + describe(x) + " at one end and " + describe(y) + " at the other");
  }
  return true;
}

}  // namespace pathkernel
