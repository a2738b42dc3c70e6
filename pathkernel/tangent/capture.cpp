#include <pathkernel/tangent/capture_state.h>

#include <ATen/Context.h>
#include <ATen/core/grad_mode.h>
#include <ATen/core/stack.h>
#include <ATen/functorch/BatchedTensorImpl.h>
#include <ATen/functorch/TensorWrapper.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/zeros.h>
#include <c10/core/impl/LocalDispatchKeySet.h>
#include <c10/util/accumulate.h>
#include <pathkernel/core/error.h>
#include <pathkernel/tangent/coupled_batch.h>
#include <pathkernel/tangent/decisions.h>
#include <pathkernel/tangent/own_operations.h>
#include <pathkernel/tangent/owners.h>
#include <pathkernel/tangent/rule.h>
#include <pathkernel/tangent/statistics.h>
#include <torch/library.h>

#include <algorithm>
#include <optional>

namespace pathkernel {
namespace {

constexpr c10::DispatchKey tape_key = c10::DispatchKey::TESTING_ONLY_GenericMode;
thread_local Capture::State* current = nullptr;

/// Shares storage and sizes, but neither identity nor graph: in-place changes of metadata do not reach it.
Tensor frozen(const Tensor& t) { return Tensor(t.unsafeGetTensorImpl()->shallow_copy_and_detach(c10::VariableVersion(0), true)); }

bool is_composite(const c10::OperatorHandle& op) {
  return op.hasKernelForDispatchKey(c10::DispatchKey::CompositeImplicitAutograd);
}

/// "aten::relu_" -> the operation "aten::relu" of the same overload. Undefined where an operation writes and has none.
std::optional<c10::OperatorHandle> functional_form(const c10::OperatorHandle& op) {
  std::string name = op.operator_name().name;
  if (name.empty() || name.back() != '_') return std::nullopt;
  name.pop_back();
  const std::string overload = op.operator_name().overload_name;
  auto& dispatcher = c10::Dispatcher::singleton();
  if (auto found = dispatcher.findSchema({name, overload})) return found;
  if (name == "aten::transpose") return dispatcher.findSchema({name, "int"});
  if (name == "aten::copy") return dispatcher.findSchema({"aten::copy", ""});
  return std::nullopt;
}

/// Calls visit(argument, list position, tensor) for every tensor among the arguments.
template <class Visit>
void each_tensor(const std::vector<c10::IValue>& arguments, Visit visit) {
  for (size_t a = 0; a < arguments.size(); ++a) {
    const c10::IValue& value = arguments[a];
    if (value.isTensor()) {
      if (value.toTensor().defined()) visit(int32_t(a), -1, value.toTensor());
    } else if (value.isTensorList()) {
      const auto list = value.toTensorVector();
      for (size_t k = 0; k < list.size(); ++k) visit(int32_t(a), int32_t(k), list[k]);
    } else if (value.isList()) {
      const auto list = value.toList();
      for (size_t k = 0; k < list.size(); ++k) {
        const c10::IValue item = list.get(k);
        if (item.isTensor() && item.toTensor().defined()) visit(int32_t(a), int32_t(k), item.toTensor());
      }
    }
  }
}

bool is_half(const Tensor& t) { return t.scalar_type() == at::kBFloat16 || t.scalar_type() == at::kHalf; }

/// The tensor inside a wrapper of functorch (vmap, grad); undefined for any other.
Tensor inside_functorch(const Tensor& tensor) {
  Tensor inside;
  for (const Tensor* t = &tensor;; t = &inside) {
    if (const auto* batched = at::functorch::maybeGetBatchedImpl(*t)) inside = batched->value();
    else if (const auto* wrapped = at::functorch::maybeGetTensorWrapper(*t)) inside = wrapped->value();
    else return inside;
  }
}

Tensors returned_tensors(const torch::jit::Stack& stack, size_t from) {
  Tensors out;
  for (size_t k = from; k < stack.size(); ++k) {
    if (stack[k].isTensor()) out.push_back(stack[k].toTensor());
    else if (stack[k].isTensorList()) for (const Tensor& t : stack[k].toTensorVector()) out.push_back(t);
    else out.emplace_back();
  }
  return out;
}

/// The tensor that an operation writes to in place; undefined where it writes to none.
Tensor written_by(const c10::OperatorHandle& op, const std::vector<c10::IValue>& arguments) {
  Tensor written;
  for (size_t a = 0; a < arguments.size(); ++a) {
    const auto* alias = op.schema().arguments()[a].alias_info();
    if (alias != nullptr && alias->isWrite() && arguments[a].isTensor()) written = arguments[a].toTensor();
  }
  return written;
}

void run_composite(const c10::OperatorHandle& op, c10::DispatchKeySet keys, torch::jit::Stack* stack) {
  // Below the tape's key, which stays included: the parts are seen one by one.
  op.redispatchBoxed(keys & c10::DispatchKeySet(c10::DispatchKeySet::FULL_AFTER, tape_key), stack);
}

/// Cheap hash of an operation's name -> does it have a rule? Asked at every call.
const Rule* rule_of(const c10::OperatorHandle& op) {
  thread_local std::unordered_map<const void*, const Rule*> known;
  const void* id = static_cast<const void*>(&op.schema());
  if (auto found = known.find(id); found != known.end()) return found->second;
  std::string name = op.operator_name().name;
  if (auto functional = functional_form(op)) name = functional->operator_name().name;
  return known[id] = find_rule(name);
}

void on_operation(const c10::OperatorHandle& op, c10::DispatchKeySet keys, torch::jit::Stack* stack) {
  Capture::State* state = current;
  // What training computed in half precision by autocast is evaluated in whole numbers: the casts would hide what a value depends on.
  std::optional<c10::impl::ExcludeDispatchKeyGuard> whole;
  if (state != nullptr && state->side != Side::training) {
    whole.emplace(c10::autocast_dispatch_keyset);
    keys = keys - c10::autocast_dispatch_keyset;
  }
  if (state == nullptr) {
    run_composite(op, keys, stack);
    return;
  }
  if (rule_of(op) == nullptr && is_composite(op)) {
    run_composite(op, keys, stack);
    return;
  }
  state->leaf(op, stack);
}

/// Whether two tensors of one storage have a number in common; pieces of one tensor (chunk) need not.
bool overlap(const Tensor& a, const Tensor& b) {
  const int64_t length = int64_t(a.storage().nbytes() / a.element_size());
  if (a.numel() == length || b.numel() == length || a.element_size() != b.element_size()) return true;
  Tensor written = at::zeros({length}, at::TensorOptions().dtype(at::kBool).device(a.device()));
  written.as_strided(b.sizes(), b.strides(), b.storage_offset()).fill_(true);
  return written.as_strided(a.sizes(), a.strides(), a.storage_offset()).any().item<bool>();
}

/// The fallback is registered when the first tape is made, once in the process, and stays. It costs nothing while no thread includes its key.
void register_fallback() {
  static torch::Library library = [] {
    torch::Library made(torch::Library::IMPL, "_", c10::make_optional(tape_key), __FILE__, __LINE__);
    made.fallback(torch::CppFunction::makeFromBoxedFunction<&on_operation>());
    return made;
  }();
}

}  // namespace

MathAttention::MathAttention() : flash_(at::globalContext().userEnabledFlashSDP()), efficient_(at::globalContext().userEnabledMemEfficientSDP()) {
  at::globalContext().setSDPUseFlash(false);
  at::globalContext().setSDPUseMemEfficient(false);
}
MathAttention::~MathAttention() {
  at::globalContext().setSDPUseFlash(flash_);
  at::globalContext().setSDPUseMemEfficient(efficient_);
}

Capture::State::Reads Capture::State::read(const c10::OperatorHandle& op, const std::vector<c10::IValue>& arguments) const {
  Reads out;
  each_tensor(arguments, [&](int32_t argument, int32_t position, const Tensor& tensor) {
    const ValueId id = tape.find(tensor);
    if (side == Side::forward) refuse_unseen_graph(id == no_value ? nullptr : &tape.values[size_t(id)], tensor, op);
    if (id == no_value) {
      refuse_hidden_parameter(tensor, op);
      refuse_transformed(tensor, op);
      return;
    }
    const Value& value = tape.values[size_t(id)];
    out.slots.push_back({argument, position, id});
    out.tensors.push_back(tensor);
    const bool one_active = is_active(id, tensor), one_shared = value.shared();
    out.active = out.active || one_active;
    out.decided = out.decided || value.decision;
    out.owned = out.owned || !one_shared;
    out.enters = out.enters || (one_active && one_shared);
  });
  return out;
}

void Capture::State::refuse_unfollowed(const c10::OperatorHandle& op, const Reads& reads) const {
  if (!reads.active) return;
  for (const Slot& slot : reads.slots) {
    if (!tape.values[size_t(slot.value)].refusal.empty()) throw CoupledBatch(tape.values[size_t(slot.value)].refusal);
  }
  if (side != Side::query) return;
  const std::string& name = op.schema().name();
  if (name == "aten::_local_scalar_dense" || name == "aten::item") {
    throw InvalidInput("the tape: the model reads a number out of a tensor that depends on its parameters (" + name +
                       "); what it does with the number cannot be followed. Keep it a tensor, or detach the decision from the output.");
  }
  if (hides_a_jump(name)) {
    throw InvalidInput("the tape: " + name + " jumps without showing where; write it as x − floor(x / m)·m, so that the jumps can be told " +
                       "from the slope");
  }
}

void Capture::State::run(const c10::OperatorHandle& op, torch::jit::Stack* stack, size_t base) const {
  const c10::impl::ExcludeDispatchKeyGuard below(tape_key);
  const at::AutoGradMode graph(side != Side::query && at::GradMode::is_enabled());
  if (side == Side::forward || !run_own(op, stack, base)) op.callBoxed(stack);
}

void Capture::State::leaf(const c10::OperatorHandle& op, torch::jit::Stack* stack) {
  const size_t base = stack->size() - op.schema().arguments().size();
  std::vector<c10::IValue> arguments(stack->begin() + int64_t(base), stack->end());
  Reads reads = read(op, arguments);
  if (reads.slots.empty()) {
    const c10::impl::ExcludeDispatchKeyGuard below(tape_key);
    op.callBoxed(stack);
    return;
  }
  refuse_unfollowed(op, reads);
  if (side == Side::forward && updates_statistics(op, arguments)) reads.enters = true;  // frozen or not, its update is asked for
  const Tensor target = written_by(op, arguments);
  const bool renames_only = op.hasTag(at::Tag::inplace_view);
  if (side == Side::query ? reads.active : reads.enters) {
    for (const Slot& slot : reads.slots) keep_input(slot.value);
  }
  if (target.defined() && !renames_only) keep_overwritten(target);
  run(op, stack, base);

  Node node{op, std::move(arguments), std::move(reads.slots), {}, op.operator_name().name, false};
  if (target.defined()) {
    const auto functional = functional_form(op);
    if (!functional) {
      if (!reads.active) return;
      throw InvalidInput("the tape: " + node.name + " writes into a tensor that depends on parameters and has no functional form; " +
                         "use the operation that returns a new tensor");
    }
    node.op = *functional;
    node.name = functional->operator_name().name;
  }
  const Seen seen{reads.active, reads.enters, reads.owned, reads.active || reads.decided, target, renames_only};
  record(std::move(node), reads.tensors, returned_tensors(*stack, base), seen);
}

bool Capture::State::is_active(ValueId id, const Tensor& tensor) const {
  if (side == Side::query) return tape.values[size_t(id)].active;
  return tensor.requires_grad() && at::GradMode::is_enabled();
}

void Capture::State::refuse_hidden_parameter(const Tensor& tensor, const c10::OperatorHandle& op) const {
  if (!tensor.has_storage()) return;
  const auto found = parameter_storage.find(tensor.storage().unsafeGetStorageImpl());
  if (found == parameter_storage.end()) return;
  throw InvalidInput("the tape: " + op.operator_name().name + " reads parameter '" + found->second +
                     "' behind the tape's back (through .data or a saved view); its part cannot be accounted for. Use the parameter itself, or detach().");
}

/// Inside torch.func.vmap, grad and their like tensors are wrapped, and what becomes of them is not seen.
void Capture::State::refuse_transformed(const Tensor& tensor, const c10::OperatorHandle& op) const {
  const Tensor inside = inside_functorch(tensor);
  if (!inside.defined()) return;
  const ValueId id = tape.find(inside);
  if (id == no_value || !(is_active(id, inside) || tape.values[size_t(id)].owner.defined())) return;
  if (!at::isFloatingType(inside.scalar_type())) return;  // masks are made so, of positions
  throw InvalidInput("the tape: " + op.operator_name().name + " is called inside a transform of torch.func (vmap, grad, jvp), where operations cannot be followed; write the "
                     "forward pass without it");
}

/// A tensor with a graph that no operation on the tape gave it: what it depends on cannot be run forwards.
void Capture::State::refuse_unseen_graph(const Value* value, const Tensor& tensor, const c10::OperatorHandle& op) const {
  if ((value != nullptr && (value->active || value->parameter >= 0)) || !at::GradMode::is_enabled() || !tensor.requires_grad()) return;
  const c10::impl::ExcludeDispatchKeyGuard below(tape_key);  // a view's graph may be made only now
  if (!tensor.grad_fn()) return;
  throw InvalidInput("the tape: " + op.operator_name().name + " reads a tensor whose way from the parameters was not seen: it has a backward pass of its own " +
                     "(torch.autograd.Function), or was a constant that was written into. Coupled examples cannot be followed through it; use torch's own operations, out of place");
}

void Capture::State::keep_input(ValueId id) {
  Value& value = tape.values[size_t(id)];
  if (value.tensor.defined()) return;
  value.tensor = frozen(tape.alive_[size_t(id)]);
  if (side != Side::training || !is_half(value.tensor)) return;
  const c10::impl::ExcludeDispatchKeyGuard below(tape_key);
  const at::AutoGradMode off(false);
  value.tensor = value.tensor.to(at::kFloat);  // factors of one gradient are of one kind
}

void Capture::State::keep_overwritten(const Tensor& target) {
  if (!target.has_storage()) return;
  const auto* storage = target.storage().unsafeGetStorageImpl();
  for (size_t id = 0; id < tape.values.size(); ++id) {
    Value& value = tape.values[id];
    if (!value.tensor.defined() || !value.tensor.has_storage() || value.tensor.storage().unsafeGetStorageImpl() != storage) continue;
    if (value.parameter >= 0) continue;
    c10::impl::ExcludeDispatchKeyGuard below(tape_key);
    at::AutoGradMode off(false);
    value.tensor = value.tensor.clone();
  }
}

void Capture::State::record(Node node, const Tensors& slot_tensors, const Tensors& outputs, const Seen& seen) {
  c10::impl::ExcludeDispatchKeyGuard below(tape_key);
  at::AutoGradMode off(false);
  Tensors owners;
  for (const Slot& slot : node.slots) owners.push_back(tape.values[size_t(slot.value)].owner);
  for (size_t k = 0; k < outputs.size(); ++k) {
    const Tensor& output = outputs[k];
    if (!output.defined()) {
      node.outputs.push_back(no_value);
      continue;
    }
    // A view or the input itself handed back unchanged keeps its name.
    if (!seen.target.defined()) {
      if (const ValueId same = tape.find(output); same != no_value && same_as_input(node, same)) {
        node.outputs.push_back(no_value);
        continue;
      }
    }
    Value value;
    if (side == Side::query) {
      value.decision = seen.decided && (!seen.active || is_decision(node.name, output.scalar_type()));
      value.active = seen.active && !value.decision;
    } else {
      value.active = output.requires_grad();
      in_half = in_half || (value.active && is_half(output));
    }
    const bool constant = side == Side::training && !value.active;
    try {
      if (seen.owned) value.owner = output_owner(node, slot_tensors, owners, output, k, constant);
    } catch (const InvalidInput& refused) {  // an error only where something depends on it (the weight total of a loss does not matter)
      if (!constant || output.numel() > 1) value.refusal = refused.what();
    }
    if (value.shared() && value.refusal.empty()) value.refusal = refusal_among(node.slots);
    node.outputs.push_back(add_value(std::move(value), output));
  }
  const ValueId written = node.outputs.empty() ? no_value : node.outputs[0];
  const c10::OperatorHandle op = node.op;
  if (side == Side::query ? seen.active : seen.enters) {
    for (const Slot& slot : node.slots) {
      if (slot.list_position < 0) node.arguments[size_t(slot.argument)] = c10::IValue();
    }
    if (side != Side::training) {
      for (const ValueId id : node.outputs) {
        if (id != no_value) keep_input(id);
      }
      for (size_t k = 0; k < node.slots.size(); ++k) {
        if (tape.values[size_t(node.slots[k].value)].decision) tape.decisions.push_back({tape.nodes.size(), k});
      }
    } else {
      on_entry(node, outputs);
    }
    tape.nodes.push_back(std::move(node));
  }
  if (seen.target.defined() && !seen.renames_only && seen.active) rename_views(op, seen.target, written);
}

/// What is made of rows whose owners are unknown has none either; of a single number it is a constant.
std::string Capture::State::refusal_among(const std::vector<Slot>& slots) const {
  for (const Slot& slot : slots) {
    const Value& value = tape.values[size_t(slot.value)];
    if (!value.refusal.empty() && c10::multiply_integers(value.sizes) > 1) return value.refusal;
  }
  return {};
}

bool Capture::State::same_as_input(const Node& node, ValueId id) const {
  for (const Slot& slot : node.slots) {
    if (slot.value == id) return true;
  }
  return false;
}

ValueId Capture::State::add_value(Value value, const Tensor& tensor) {
  const ValueId id = ValueId(tape.values.size());
  value.sizes = tensor.sizes().vec();
  tape.values.push_back(std::move(value));
  tape.alive_.push_back(tensor);
  tape.names_[tensor.unsafeGetTensorImpl()] = id;
  return id;
}

void Capture::State::rename_views(const c10::OperatorHandle& op, const Tensor& target, ValueId written) {
  if (written == no_value || !target.has_storage()) return;
  const auto* storage = target.storage().unsafeGetStorageImpl();
  std::vector<std::pair<Tensor, ValueId>> others;
  for (const auto& [impl, id] : tape.names_) {
    const Tensor& tensor = tape.alive_[size_t(id)];
    if (id == written || !tensor.has_storage() || tensor.storage().unsafeGetStorageImpl() != storage) continue;
    if (tape.values[size_t(id)].parameter >= 0 || tensor.is_same(target)) continue;
    if (tensor.use_count() > 1 && overlap(tensor, target)) others.emplace_back(tensor, id);  // somebody besides the tape may still use this name
  }
  std::sort(others.begin(), others.end(), [](const auto& a, const auto& b) { return a.second < b.second; });  // the same order on every tape
  for (const auto& [tensor, old] : others) {
    Value value;
    const Value before = tape.values[size_t(old)];
    value.active = before.active || tape.values[size_t(written)].active;
    value.owner = before.owner.defined() ? before.owner : tape.values[size_t(written)].owner;
    // Where the two lie in their storage, for the cotangent: sizes, strides, offset of each, and the storage's length.
    Node alias{op,
               {tensor.sizes().vec(), tensor.strides().vec(), tensor.storage_offset(), target.sizes().vec(), target.strides().vec(), target.storage_offset(),
                int64_t(tensor.storage().nbytes() / tensor.element_size())},
               {{0, -1, written}, {1, -1, old}},
               {},
               "alias",
               true};
    value.tensor = frozen(tensor);
    alias.outputs.push_back(add_value(std::move(value), tensor));
    if (side != Side::training) tape.nodes.push_back(std::move(alias));
  }
}

Capture::Capture(Tape& tape, Side side, const NamedTensors& parameters, const NamedTensors& buffers, const Tensors& examples) {
  if (current != nullptr) throw std::logic_error("Capture: a capture is already running on this thread");
  register_fallback();
  state_ = std::make_unique<State>(tape, side);
  tape.entries_only = side == Side::training;
  tape.examples = examples.empty() ? 0 : examples.front().size(0);
  int32_t index = 0;
  for (const auto* list : {&parameters, &buffers}) {
    for (const NamedTensor& named : *list) {
      Value value;
      value.active = at::isFloatingType(named.tensor.scalar_type());
      value.parameter = index++;
      value.tensor = frozen(named.tensor);
      tape.parameter_values.push_back(state_->add_value(std::move(value), named.tensor));
      if (list == &parameters && named.tensor.has_storage()) state_->parameter_storage[named.tensor.storage().unsafeGetStorageImpl()] = named.name;
    }
  }
  if (!examples.empty()) {
    const Tensor arange = at::arange(tape.examples, examples.front().options().dtype(at::kLong));
    for (const Tensor& example : examples) {
      if (example.size(0) != tape.examples) throw InvalidInput("the tape: per-example tensors differ in length: " + describe(examples.front()) + " and " + describe(example));
      Value value;
      if (side != Side::forward) value.owner = leading_owner(arange, example.sizes());
      value.tensor = frozen(example);
      state_->add_value(std::move(value), example);
    }
  }
  if (side != Side::training) state_->math_attention.emplace();
  current = state_.get();
  state_->include.emplace(tape_key);
}

Capture::~Capture() {
  state_->include.reset();
  current = nullptr;
}

}  // namespace pathkernel
