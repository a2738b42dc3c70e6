#include <ATen/core/Reduction.h>
#include <ATen/core/grad_mode.h>
#include <ATen/core/stack.h>
#include <pathkernel/tangent/push.h>
#include <torch/csrc/autograd/autograd.h>

namespace pathkernel {
namespace {

/// φ′(x) of an elementwise operation by its own backward pass, once for all queries.
Tensor slope(const PushCall& call) {
  const at::AutoGradMode on(true);
  torch::jit::Stack stack = call.arguments();
  const Tensor x = call.value("self").detach().requires_grad_(true);
  stack[size_t(call.slot("self")->argument)] = x;
  call.node.op.callBoxed(&stack);
  return torch::autograd::grad({stack[0].toTensor().sum()}, {x})[0];
}

// y = φ(x), other inputs (a target, a mask) at rest:  ẏ = φ′(x) ẋ
Tensors elementwise(const PushCall& call) {
  for (const Slot& slot : call.node.slots) {
    if (&slot != call.slot("self") && call.tangent(slot).defined()) return {};
  }
  if (call.knows("reduction") && call.argument("reduction").toInt() != at::Reduction::None) return {};
  if (call.slot("self") == nullptr || call.output().sizes() != call.value("self").sizes()) return {};
  return {call.tangent("self") * slope(call)};
}

}  // namespace

PushTable pointwise_pushes() {
  PushTable pushes;
  for (const char* name : {"relu", "leaky_relu", "abs", "clamp", "clamp_min", "clamp_max", "tanh", "sigmoid", "gelu", "silu", "exp", "log", "log2", "log10", "sqrt", "rsqrt",
                           "reciprocal", "square", "pow", "softplus", "elu", "erf", "sin", "cos", "log1p", "expm1", "hardtanh", "hardswish", "hardsigmoid",
                           "log_sigmoid_forward", "selu", "celu", "mish", "atan", "asinh", "threshold", "smooth_l1_loss", "huber_loss", "soft_margin_loss",
                           "binary_cross_entropy", "binary_cross_entropy_with_logits"}) {
    pushes.emplace_back(std::string("aten::") + name, elementwise);
  }
  return pushes;
}

}  // namespace pathkernel
