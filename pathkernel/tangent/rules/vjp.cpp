#include <pathkernel/tangent/rules/vjp.h>

#include <ATen/core/grad_mode.h>
#include <ATen/core/stack.h>
#include <ATen/ops/zeros_like.h>
#include <torch/csrc/autograd/autograd.h>

namespace pathkernel {

Tensors own_vjp(const Call& call, const std::vector<const Slot*>& slots, const Tensors& point, const Tensors& cotangents) {
  at::AutoGradMode on(true);
  torch::jit::Stack stack = call.arguments(0);
  Tensors leaves;
  for (size_t k = 0; k < slots.size(); ++k) {
    Tensor leaf = point[k].detach();
    leaf.set_requires_grad(true);
    leaves.push_back(leaf);
    c10::IValue& argument = stack[size_t(slots[k]->argument)];
    if (slots[k]->list_position < 0) {
      argument = leaf;
    } else {
      auto list = argument.toTensorVector();
      list[size_t(slots[k]->list_position)] = leaf;
      argument = list;
    }
  }
  call.node0.op.callBoxed(&stack);
  Tensors outputs;
  for (const c10::IValue& value : stack) {
    if (value.isTensor()) outputs.push_back(value.toTensor());
    else if (value.isTensorList()) for (const Tensor& t : value.toTensorVector()) outputs.push_back(t);
    else outputs.emplace_back();
  }
  Tensors used, given;
  for (size_t k = 0; k < cotangents.size(); ++k) {
    if (!cotangents[k].defined() || !outputs[k].requires_grad()) continue;
    used.push_back(outputs[k]);
    given.push_back(cotangents[k]);
  }
  Tensors out;
  if (!used.empty()) out = torch::autograd::grad(used, leaves, given, /*retain_graph=*/false, /*create_graph=*/false, /*allow_unused=*/true);
  out.resize(leaves.size());
  for (size_t k = 0; k < leaves.size(); ++k) {
    if (!out[k].defined()) out[k] = at::zeros_like(point[k]);
  }
  return out;
}

}  // namespace pathkernel
