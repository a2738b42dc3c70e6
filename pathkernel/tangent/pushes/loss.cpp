#include <ATen/core/Reduction.h>
#include <pathkernel/tangent/push.h>

namespace pathkernel {
namespace {

// ℓ_i = −w_{t_i} x_{i,t_i} (reduction "none")
Tensors negative_log_likelihood(const PushCall& call) {
  if (call.argument("reduction").toInt() != at::Reduction::None || call.value("self").dim() != 2) return {};
  const Tensor target = call.value("target"), t = call.tangent("self");
  const Tensor used = target.ne(call.argument("ignore_index").toInt());
  const Tensor safe = target.masked_fill(used.logical_not(), 0);
  Tensor weight = -used.to(t.scalar_type());
  if (call.has("weight")) weight = weight * call.value("weight").index_select(0, safe);
  return {t.gather(2, safe.view({1, -1, 1}).expand({t.size(0), -1, 1})).squeeze(2) * weight};
}

// (x − t)²: 2 (x − t)(ẋ − ṫ) (reduction "none")
Tensors squared_error(const PushCall& call) {
  if (call.argument("reduction").toInt() != at::Reduction::None) return {};
  const Tensor x = call.broadcast_tangent("self"), t = call.broadcast_tangent("target");
  const Tensor moved = !t.defined() ? x : !x.defined() ? -t : x - t;
  return {(moved * ((call.value("self") - call.value("target")) * 2)).expand(call.output_sizes())};
}

}  // namespace

PushTable loss_pushes() { return {{"aten::nll_loss_forward", negative_log_likelihood}, {"aten::mse_loss", squared_error}}; }

}  // namespace pathkernel
