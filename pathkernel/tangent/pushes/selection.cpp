#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>
#include <pathkernel/tangent/push.h>

namespace pathkernel {
namespace {

// y_r = x at the winner's place, which autograd holds fixed: ẏ_r = ẋ there
Tensor at_winners(const Tensor& tangent, const Tensor& winners, int64_t dim) {
  std::vector<int64_t> sizes = winners.sizes().vec();
  sizes.insert(sizes.begin(), tangent.size(0));
  return tangent.gather(dim, winners.unsqueeze(0).expand(sizes));
}

Tensors max_pool(const PushCall& call) {
  const Tensor winners = call.output(1);
  return {at_winners(call.tangent("self").flatten(-2), winners.flatten(-2), -1).view(call.output_sizes())};
}

// values and indices along one dimension: max, min, sort, topk
Tensors chosen(const PushCall& call) {
  if (call.node.outputs.size() != 2 || !call.knows("dim") || !call.argument("dim").isInt()) return {};
  Tensor winners = call.output(1);
  const int64_t dim = call.argument("dim").toInt(), rank = call.value("self").dim();
  if (winners.dim() < rank) winners = winners.unsqueeze(dim);
  return {at_winners(call.tangent("self"), winners, dim < 0 ? dim : dim + 1).view(call.output_sizes())};
}

// y = a where c, b elsewhere
Tensors choice(const PushCall& call) {
  const auto moved = [&](const char* argument) {
    const Tensor t = call.broadcast_tangent(argument);
    return t.defined() ? t : at::zeros({}, call.output().options());
  };
  return {at::where(call.value("condition"), moved("self"), moved("other")).expand(call.output_sizes())};
}

// y = x ∘ m/(1−p) with the mask m that was drawn
Tensors dropout(const PushCall& call) {
  const double p = call.argument("p").toDouble();
  if (p == 1) return {Tensor()};
  if (!call.output(1).defined()) return {};
  return {call.tangent("input") * (call.output(1).to(call.output().scalar_type()) * (1 / (1 - p)))};
}

}  // namespace

PushTable selection_pushes() {
  return {{"aten::max_pool2d_with_indices", max_pool},
          {"aten::max", chosen},
          {"aten::min", chosen},
          {"aten::sort", chosen},
          {"aten::topk", chosen},
          {"aten::where", choice},
          {"aten::native_dropout", dropout}};
}

}  // namespace pathkernel
