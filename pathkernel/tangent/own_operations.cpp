#include <pathkernel/tangent/own_operations.h>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/max_pool2d_with_indices_backward.h>
#include <pathkernel/tangent/kernels/max_pool.h>
#include <torch/csrc/autograd/custom_function.h>

namespace pathkernel {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

struct MaxPool : torch::autograd::Function<MaxPool> {
  static variable_list forward(AutogradContext* context, const Tensor& x, const std::vector<int64_t>& kernel, const std::vector<int64_t>& stride) {
    auto [values, indices] = max_pool(x, kernel, stride);
    context->save_for_backward({x, indices});
    context->saved_data["kernel"] = kernel;
    context->saved_data["stride"] = stride;
    context->mark_non_differentiable({indices});
    return {values, indices};
  }
  static variable_list backward(AutogradContext* context, variable_list cotangents) {
    const variable_list saved = context->get_saved_variables();
    const auto kernel = context->saved_data["kernel"].toIntVector(), stride = context->saved_data["stride"].toIntVector();
    return {at::max_pool2d_with_indices_backward(cotangents[0], saved[0], kernel, stride, {0, 0}, {1, 1}, /*ceil_mode=*/false, saved[1]), {}, {}};
  }
};

std::vector<int64_t> pair(const c10::IValue& value) {
  std::vector<int64_t> out = value.toIntVector();
  if (out.size() == 1) out.push_back(out[0]);
  return out;
}

}  // namespace

bool run_own(const c10::OperatorHandle& op, torch::jit::Stack* stack, size_t base) {
  static const c10::OperatorHandle pool = c10::Dispatcher::singleton().findSchemaOrThrow("aten::max_pool2d_with_indices", "");
  if (!(op == pool)) return false;
  const auto argument = [&](size_t k) { return (*stack)[base + k]; };
  const Tensor x = argument(0).toTensor();
  const std::vector<int64_t> kernel = pair(argument(1)), stride = argument(2).toIntVector().empty() ? kernel : pair(argument(2));
  if (!max_pool_fits(x, pair(argument(3)), pair(argument(4)), argument(5).toBool()) || x.size(2) < kernel[0] || x.size(3) < kernel[1]) return false;
  Tensor values, indices;
  if (at::GradMode::is_enabled() && x.requires_grad()) {
    const variable_list both = MaxPool::apply(x, kernel, stride);
    values = both[0], indices = both[1];
  } else {
    std::tie(values, indices) = max_pool(x, kernel, stride);
  }
  stack->erase(stack->begin() + int64_t(base), stack->end());
  stack->emplace_back(std::move(values));
  stack->emplace_back(std::move(indices));
  return true;
}

}  // namespace pathkernel
