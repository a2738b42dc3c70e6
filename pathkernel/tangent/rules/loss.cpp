#include <ATen/core/Reduction.h>
#include <ATen/ops/clamp.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros_like.h>
#include <pathkernel/tangent/kernels/kink.h>
#include <pathkernel/tangent/rule.h>
#include <pathkernel/tangent/rules/logarithmic_means.h>

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
  if (call.has("weight")) share = share * call.ends("weight").at0.index_select(0, safe);
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

// φ(e) = ½e² where |e| ≤ δ, δ(|e| − ½δ) beyond, e = x − t. With c = clamp(e, −δ, δ) it is ce − ½c², so Δφ = c̄ Δe + (ē − c̄) Δc
// (reduction "none")
void huber(Call& call) {
  if (call.argument("reduction").toInt() != at::Reduction::None) {
    fallback_rule(call);
    return;
  }
  const double delta = call.argument("delta").toDouble();
  const Ends x = call.ends("self"), t = call.ends("target");
  const Tensor e0 = x.at0 - t.at0, c0 = e0.clamp(-delta, delta);
  Tensor slope = c0;
  if (!x.equal() || !t.equal()) {
    const Ends e{e0, x.at1 - t.at1}, c{c0, e.at1.clamp(-delta, delta)};
    const Tensor change = e.delta(), moved = change.ne(0);
    slope = c.mean() + (e.mean() - c.mean()) * at::where(moved, c.delta() / at::where(moved, change, 1), 0);
  }
  call.give_elementwise("self", call.cotangent() * slope);
  call.give_elementwise("target", call.cotangent() * -slope);
}

// log(1 + eˣ) − xt: the first is logsumexp of (0, x), the second bilinear (reduction "none", all classes weigh the same)
void binary_cross_entropy(Call& call) {
  if (call.argument("reduction").toInt() != at::Reduction::None || call.has("pos_weight")) {
    fallback_rule(call);
    return;
  }
  const Ends x = call.ends("self"), t = call.ends("target");
  const auto beside_zero = [](const Tensor& logits) { return at::stack({at::zeros_like(logits), logits}, -1); };
  const Tensor pair0 = beside_zero(x.at0);
  const Tensor means = logarithmic_means({pair0, x.equal() ? pair0 : beside_zero(x.at1)}, -1);
  const Tensor softplus_slope = (means / total_of_means(means, -1)).select(-1, 1);
  const Tensor v = call.has("weight") ? call.cotangent() * call.ends("weight").at0 : call.cotangent();
  call.give_elementwise("self", v * (softplus_slope - t.mean()));
  call.give_elementwise("target", v * -x.mean());
}

// ℓ_i = (1/C) Σ_{j≠y} max(0, u_j), u_j = margin − x_y + x_j: each term is a relu of a difference (p = 1, reduction "none")
void multi_margin(Call& call) {
  const Tensor& x0 = call.ends("self").at0;
  if (call.argument("reduction").toInt() != at::Reduction::None || call.argument("p").toScalar().toDouble() != 1 || call.has("weight") || x0.dim() != 2) {
    fallback_rule(call);
    return;
  }
  if (!call.wants("self")) return;
  const Ends x = call.ends("self");
  const Tensor label = call.ends("target").at0.unsqueeze(1);
  const double margin = call.argument("margin").toScalar().toDouble();
  const auto excess = [&](const Tensor& scores) { return scores - scores.gather(1, label) + margin; };
  const Tensor u0 = excess(x.at0), u1 = x.equal() ? u0 : excess(x.at1);
  const Tensor v = (call.cotangent() / static_cast<double>(x0.size(1))).unsqueeze(1).expand_as(u0).contiguous();
  const Tensor others = kinked_product(v, u0, u1, 1, 0).scatter(1, label, 0);
  call.give("self", others.scatter(1, label, -others.sum(1, /*keepdim=*/true)));
}

}  // namespace

RuleTable loss_rules() {
  return {{"aten::nll_loss_forward", negative_log_likelihood},
          {"aten::mse_loss", squared_error},
          {"aten::huber_loss", huber},
          {"aten::binary_cross_entropy_with_logits", binary_cross_entropy},
          {"aten::multi_margin_loss", multi_margin}};
}

}  // namespace pathkernel
