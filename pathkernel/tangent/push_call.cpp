#include <pathkernel/tangent/push.h>

#include <ATen/ops/scalar_tensor.h>
#include <ATen/ops/zeros.h>

#include <stdexcept>

namespace pathkernel {

const c10::IValue& PushCall::argument(const char* name) const {
  const int index = argument_index(node, name);
  if (index < 0) throw std::logic_error("push of " + node.name + ": the operation has no argument '" + name + "'");
  return node.arguments[size_t(index)];
}

const Slot* PushCall::slot(const char* argument) const {
  const int index = argument_index(node, argument);
  for (const Slot& slot : node.slots) {
    if (slot.argument == index && slot.list_position < 0) return &slot;
  }
  return nullptr;
}

bool PushCall::has(const char* argument) const { return slot(argument) != nullptr || this->argument(argument).isTensor(); }

Tensor PushCall::value(const char* argument) const {
  if (const Slot* found = slot(argument)) return tape.values[size_t(found->value)].tensor;
  const c10::IValue& constant = this->argument(argument);
  if (constant.isScalar()) return at::scalar_tensor(constant.toScalar(), output().options());  // mul.Scalar and its kin
  return constant.isTensor() ? constant.toTensor() : Tensor();
}

Tensor PushCall::tangent(const char* argument) const {
  const Slot* found = slot(argument);
  return found != nullptr ? tangent(*found) : Tensor();
}

Tensor PushCall::broadcast_tangent(const char* argument) const {
  Tensor t = tangent(argument);
  if (!t.defined()) return t;
  const int64_t dims = int64_t(output_sizes().size());
  while (t.dim() < dims) t = t.unsqueeze(1);
  return t;
}

Tensor PushCall::output(size_t k) const {
  const ValueId id = node.outputs[k];
  return id == no_value ? Tensor() : tape.values[size_t(id)].tensor;
}

std::vector<int64_t> PushCall::output_sizes(size_t k) const {
  std::vector<int64_t> sizes = tape.values[size_t(node.outputs[k])].sizes;
  sizes.insert(sizes.begin(), queries_);
  return sizes;
}

std::vector<c10::IValue> PushCall::arguments() const {
  return filled_arguments(node, [&](const Slot& slot) { return tape.values[size_t(slot.value)].tensor; });
}

std::vector<c10::IValue> PushCall::tangent_arguments(int64_t q) const {
  const auto zero = [&](const Tensor& like) {
    if (!at::isFloatingType(like.scalar_type())) return like;
    std::vector<int64_t> sizes = like.sizes().vec();
    if (q < 0) sizes.insert(sizes.begin(), queries_);
    return at::zeros({}, like.options()).expand(sizes);
  };
  const auto moved = [&](const Slot& slot) {
    const Tensor& t = tangents_[size_t(slot.value)];
    if (!t.defined()) return zero(tape.values[size_t(slot.value)].tensor);
    return q < 0 ? t : t.select(0, q);
  };
  // Constants first: filled_arguments only replaces slots.
  Node still = node;
  for (c10::IValue& argument : still.arguments) {
    if (argument.isTensor() && argument.toTensor().defined()) {
      argument = zero(argument.toTensor());
    } else if (argument.isTensorList()) {
      Tensors list;
      for (const Tensor& t : argument.toTensorVector()) list.push_back(zero(t));
      argument = list;
    }
  }
  return filled_arguments(still, moved);
}

}  // namespace pathkernel
