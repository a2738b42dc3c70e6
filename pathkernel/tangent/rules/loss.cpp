#include <ATen/core/Reduction.h>
#include <ATen/ops/zeros_like.h>
#include <pathkernel/core/error.h>
#include <pathkernel/tangent/rule.h>

namespace pathkernel {
namespace {

// ℓ_i = −w_{t_i} x_{i,t_i}, linear in x (reduction "none")
void negative_log_likelihood(Call& call) {
  if (call.argument("reduction").toInt() != at::Reduction::None || call.ends("self").at0.dim() != 2) {
    fallback_rule(call);
    return;
  }
  if (!call.wants("self")) return;
  const Tensor& x = call.ends("self").at0;
  const Tensor target = call.ends("target").at0;
  const int64_t ignored = call.argument("ignore_index").toInt();
  const Tensor used = target.ne(ignored);
  Tensor share = -call.cotangent() * used.to(x.scalar_type());
  const Tensor safe = target.masked_fill(used.logical_not(), 0);
  if (call.argument("weight").isTensor()) share = share * call.ends("weight").at0.index_select(0, safe);
  call.give("self", at::zeros_like(x).scatter_(1, safe.unsqueeze(1), share.unsqueeze(1)));
}

// (x − t)²: (Δx − Δt)(x₀ + x₁ − t₀ − t₁) (reduction "none")
void squared_error(Call& call) {
  if (call.argument("reduction").toInt() != at::Reduction::None) {
    fallback_rule(call);
    return;
  }
  const Ends x = call.ends("self"), t = call.ends("target");
  const Tensor slope = call.cotangent() * (x.at0 + x.at1 - t.at0 - t.at1);
  call.give_elementwise("self", slope);
  call.give_elementwise("target", -slope);
}

}  // namespace

RuleTable loss_rules() { return {{"aten::nll_loss_forward", negative_log_likelihood}, {"aten::mse_loss", squared_error}}; }

}  // namespace pathkernel
