#include <ATen/MemoryOverlap.h>
#include <ATen/core/grad_mode.h>
#include <ATen/core/stack.h>
#include <ATen/ops/stack.h>
#include <pathkernel/core/error.h>
#include <pathkernel/tangent/push.h>
#include <torch/csrc/autograd/forward_grad.h>

namespace pathkernel {
namespace {

using torch::autograd::ForwardADLevel;

/// One level of torch's forward mode; torch has no second one inside it.
class Level {
 public:
  Level() : index_(ForwardADLevel::get_next_idx()) {}
  ~Level() { ForwardADLevel::release_idx(index_); }
  Level(const Level&) = delete;
  Level& operator=(const Level&) = delete;

  Tensor dual(const Tensor& value, const Tensor& tangent) const {
    const bool expanded = at::has_internal_overlap(value) == at::MemOverlap::Yes;  // torch lays the tangent out like the value
    const Tensor out = expanded ? value.contiguous() : value.detach();
    out._set_fw_grad(tangent.contiguous(), index_, /*is_inplace_op=*/false);
    return out;
  }
  /// A copy: what belongs to a level goes with it.
  Tensor tangent(const Tensor& output) const {
    const Tensor t = output.defined() ? output._fw_grad(index_) : Tensor();
    return t.defined() ? t.clone() : t;
  }

 private:
  uint64_t index_;
};

Tensors one_query(const PushCall& call, int64_t q) {
  const Level level;
  torch::jit::Stack stack = filled_arguments(call.node, [&](const Slot& slot) {
    const Tensor &value = call.tape.values[size_t(slot.value)].tensor, tangent = call.tangent(slot);
    return tangent.defined() ? level.dual(value, tangent.select(0, q)) : value;
  });
  call.node.op.callBoxed(&stack);
  Tensors out;
  for (const c10::IValue& value : stack) {
    if (value.isTensor()) out.push_back(level.tangent(value.toTensor()));
    else if (value.isTensorList()) for (const Tensor& t : value.toTensorVector()) out.push_back(level.tangent(t));
    else out.emplace_back();
  }
  return out;
}

}  // namespace

Tensors forward_mode(const PushCall& call) {
  if (call.node.op.hasTag(at::Tag::nondeterministic_seeded)) {
    throw InvalidInput("the tape: " + call.name() + " draws random numbers in a way that depends on the parameters, which cannot be repeated for "
                       "coupled examples; draw them beforehand");
  }
  std::vector<Tensors> by_output(call.node.outputs.size());
  try {
    for (int64_t q = 0; q < call.queries(); ++q) {
      const Tensors one = one_query(call, q);
      for (size_t k = 0; k < by_output.size() && k < one.size(); ++k) {
        if (one[k].defined()) by_output[k].push_back(one[k]);
      }
    }
  } catch (const c10::NotImplementedError& error) {
    throw InvalidInput("the tape: " + call.name() + " has no forward-mode derivative in torch, so examples coupled through it have no shares here: " +
                       error.what_without_backtrace());
  }
  Tensors out;
  for (const Tensors& tangents : by_output) out.push_back(tangents.empty() ? Tensor() : at::stack(tangents));
  return out;
}

}  // namespace pathkernel
