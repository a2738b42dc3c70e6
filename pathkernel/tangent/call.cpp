#include <ATen/ops/arange.h>
#include <ATen/ops/argsort.h>
#include <ATen/ops/bincount.h>
#include <ATen/ops/cumsum.h>
#include <ATen/ops/scalar_tensor.h>
#include <ATen/ops/zeros.h>
#include <pathkernel/core/error.h>
#include <pathkernel/tangent/owners.h>
#include <pathkernel/tangent/reverse.h>
#include <pathkernel/tangent/rule.h>

namespace pathkernel {
namespace {

int known_index(const Node& node, const char* name) {
  const int index = argument_index(node, name);
  if (index < 0) throw std::logic_error("rule of " + node.name + ": the operation has no argument '" + name + "'");
  return index;
}

/// A number of the program's (0.3 * x) without the mark that makes arithmetic among such numbers give torch's default dtype: a mean of its two
/// ends would lose half of its digits.
Tensor as_tensor(const Tensor& t) { return t.unsafeGetTensorImpl()->is_wrapped_number() ? t.clone() : t; }

/// Σ over the dimensions that `shape` (right-aligned, `skip` left out) has as one: [n, others...] -> [n, product of shape].
Tensor sum_to_argument(const Tensor& by_example, const std::vector<int64_t>& rest) {
  std::vector<int64_t> dims;
  for (size_t d = 0; d < rest.size(); ++d) {
    if (rest[d] == 1 && by_example.size(int64_t(d) + 1) != 1) dims.push_back(int64_t(d) + 1);
  }
  return dims.empty() ? by_example : by_example.sum(dims, /*keepdim=*/true);
}

}  // namespace

Tensor Ends::mean() const {
  if (equal()) return at0;
  if (at::isFloatingType(at0.scalar_type())) return (at0 + at1).mul_(0.5);
  return at0.equal(at1) ? at0 : (at0.to(at::kFloat) + at1.to(at::kFloat)).mul_(0.5);  // masks and counts
}
Tensor Ends::delta() const { return at1 - at0; }

Call::Call(Reverse& reverse, const Node& node0, const Node& node1, Tensors cotangents)
    : node0(node0), node1(node1), cotangents(std::move(cotangents)), reverse_(reverse) {}
Call::Call(Reverse& reverse, const Node& node0, const Node& node1, Tensors cotangents, std::vector<Tensor>* collected)
    : node0(node0), node1(node1), cotangents(std::move(cotangents)), reverse_(reverse), collected_(collected) {}

const Slot* Call::slot(const char* argument, int list_position) const {
  const int index = known_index(node0, argument);
  for (const Slot& slot : node0.slots) {
    if (slot.argument == index && slot.list_position == list_position) return &slot;
  }
  return nullptr;
}

const c10::IValue& Call::argument(const char* name) const { return node0.arguments[size_t(known_index(node0, name))]; }

bool Call::has(const char* argument) const {
  if (slot(argument) != nullptr) return true;
  const c10::IValue& value = this->argument(argument);
  return value.isTensor() && value.toTensor().defined();  // C++ callers give an undefined tensor for None
}

Ends Call::ends(const Slot& slot) const { return reverse_.ends(slot.value); }

Ends Call::ends(const char* argument, int list_position) const {
  if (const Slot* found = slot(argument, list_position)) return ends(*found);
  const c10::IValue &at0 = this->argument(argument), &at1 = node1.arguments[size_t(known_index(node1, argument))];
  if (at0.isScalar()) {  // mul.Scalar and its kin
    const Tensor number = at::scalar_tensor(at0.toScalar(), cotangents[0].options());
    return {number, number};
  }
  return {as_tensor(at0.toTensor()), as_tensor(at1.toTensor())};
}

Ends Call::numbers(const char* argument) const {
  const Ends found = ends(argument);
  if (found.at0.scalar_type() == cotangent().scalar_type()) return found;
  const Tensor at0 = found.at0.to(cotangent().scalar_type());
  return {at0, found.equal() ? at0 : found.at1.to(cotangent().scalar_type())};
}

Ends Call::output(size_t k) const { return reverse_.ends(node0.outputs[k]); }

bool Call::wants(const Slot& slot) const {
  const Value& value = reverse_.at0.values[size_t(slot.value)];
  if (collected_ != nullptr) return value.active;
  return value.active && !value.shared() && !reverse_.at0.entries_only;
}
bool Call::wants_shared(const Slot& slot) const {
  const Value& value = reverse_.at0.values[size_t(slot.value)];
  return collected_ == nullptr && value.active && value.shared();
}
bool Call::wants(const char* argument) const {
  const Slot* found = slot(argument);
  return found != nullptr && wants(*found);
}
bool Call::wants_shared(const char* argument) const {
  const Slot* found = slot(argument);
  return found != nullptr && wants_shared(*found);
}

void Call::give(const Slot& slot, const Tensor& cotangent) {
  const Tensor& input = reverse_.at0.values[size_t(slot.value)].tensor;
  const Tensor fitting = cotangent.sizes() == input.sizes() ? cotangent : cotangent.sum_to_size(input.sizes());
  if (collected_ == nullptr) {
    reverse_.add(slot.value, fitting);
    return;
  }
  const size_t at = size_t(&slot - node0.slots.data());
  Tensor& sum = (*collected_)[at];
  sum = sum.defined() ? sum + fitting : fitting;
}
void Call::give(const char* argument, const Tensor& cotangent) { give(*slot(argument), cotangent); }

void Call::give_shared(const Slot& slot, Factor factor) {
  const int64_t numbers = reverse_.at0.values[size_t(slot.value)].tensor.numel();
  if (factor.numbers != numbers) {
    throw InvariantViolated("rule of " + name() + ": gave gradients of " + std::to_string(factor.numbers) + " numbers for a value of " + std::to_string(numbers));
  }
  reverse_.add_shared(slot.value, std::move(factor));
}
void Call::give_shared(const char* argument, Factor factor) { give_shared(*slot(argument), std::move(factor)); }

void Call::give_elementwise(const char* argument, const Tensor& full) {
  if (const Slot* found = slot(argument)) give_elementwise(*found, full);
}

void Call::give_elementwise(const Slot& slot, const Tensor& full) {
  if (wants(slot)) {
    give(slot, full);
    return;
  }
  if (!wants_shared(slot)) return;
  const Tensor& input = reverse_.at0.values[size_t(slot.value)].tensor;
  const Tensor rows = owner(size_t(0));
  const int64_t n = examples(), dims = rows.dim();
  const Tensor expanded = full.expand(rows.sizes());
  if (n == 1) {
    give_shared(slot, dense_factor(expanded.sum_to_size(input.sizes()).unsqueeze(0)));
    return;
  }
  std::vector<int64_t> shape(size_t(dims), 1);
  std::copy(input.sizes().begin(), input.sizes().end(), shape.begin() + (dims - input.dim()));
  if (const auto d = example_dimension(rows, n); d && shape[size_t(*d)] == 1) {
    shape.erase(shape.begin() + *d);
    give_shared(slot, dense_factor(sum_to_argument(expanded.movedim(*d, 0), shape)));
    return;
  }
  // Rows of examples mixed with the argument's own dimensions: each number goes to (its example, its place in the argument).
  const Tensor places = at::arange(input.numel(), rows.options()).view(input.sizes()).expand(rows.sizes());
  Tensor dense = at::zeros({n * input.numel()}, expanded.options());
  dense.index_add_(0, (rows * input.numel() + places).reshape(-1), expanded.reshape(-1));
  give_shared(slot, dense_factor(dense.view({n, input.numel()})));
}

Tensor Call::rows_by_example(const Tensor& x) const {
  const Tensor rows = owner(size_t(0));
  const int64_t n = examples(), width = x.size(-1);
  if (n == 1) return x.reshape({1, -1, width});
  if (const auto d = example_dimension(rows, n); d && *d < rows.dim() - 1) return x.movedim(*d, 0).reshape({n, -1, width});
  // Ragged: sort the rows by owner and pad.
  const Tensor owners = rows.select(-1, 0).reshape(-1);
  const Tensor order = owners.argsort(/*stable=*/true, /*dim=*/0, /*descending=*/false);
  const Tensor counts = at::bincount(owners, {}, n);
  const int64_t most = counts.max().item<int64_t>();
  const Tensor sorted = owners.index_select(0, order);
  const Tensor starts = counts.cumsum(0) - counts;
  const Tensor place = at::arange(order.size(0), order.options()) - starts.index_select(0, sorted);
  Tensor out = at::zeros({n * most, width}, x.options());
  out.index_copy_(0, sorted * most + place, x.reshape({-1, width}).index_select(0, order));
  return out.view({n, most, width});
}

int64_t Call::examples() const { return reverse_.at0.examples; }
Tensor Call::owner(const Slot& slot) const { return reverse_.at0.values[size_t(slot.value)].owner; }
Tensor Call::owner(size_t output) const {
  return node0.outputs[output] == no_value ? Tensor() : reverse_.at0.values[size_t(node0.outputs[output])].owner;
}
CorrectionShares* Call::shares() const { return reverse_.shares(); }

std::vector<c10::IValue> Call::arguments(int end) const {
  return filled_arguments(end == 0 ? node0 : node1, [&](const Slot& slot) { return end == 0 ? ends(slot).at0 : ends(slot).at1; });
}

}  // namespace pathkernel
