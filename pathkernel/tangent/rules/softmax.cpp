#include <ATen/ops/exp.h>
#include <ATen/ops/expm1.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/logsumexp.h>
#include <ATen/ops/maximum.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/where.h>
#include <pathkernel/tangent/rule.h>
#include <pathkernel/tangent/rules/logarithmic_means.h>

namespace pathkernel {

// L_j = e^{max(ℓ⁰_j, ℓ¹_j)} (1 − e^{−|d_j|})/|d_j| with ℓ = log p, d = ℓ¹ − ℓ⁰: no difference of nearly equal numbers, and nothing that
// overflows however far the logits move. A masked entry (−∞) has L = 0, a row masked whole all zeros.
Tensor logarithmic_means(const Ends& x, int64_t dim) {
  if (x.equal()) return at::softmax(x.at0, dim);
  const Tensor l0 = at::log_softmax(x.at0, dim), l1 = at::log_softmax(x.at1, dim);
  const Tensor masked = (l0 + l1).isfinite().logical_not();
  const Tensor d = (l1 - l0).abs().masked_fill(masked, 0);
  const Tensor shape = at::where(d > 0, at::expm1(-d) / at::where(d > 0, -d, 1), 1);
  return (at::exp(at::maximum(l0, l1)) * shape).masked_fill(masked, 0);
}

Tensor total_of_means(const Tensor& means, int64_t dim) {
  const Tensor sum = means.sum(dim, /*keepdim=*/true);
  return at::where(sum > 0, sum, 1);
}

namespace {

int64_t dimension(Call& call) {
  const c10::IValue& dim = call.argument("dim");
  return dim.isInt() ? dim.toInt() : dim.toIntVector().at(0);
}

// Sato–Vartia weights ω = L/ΣL, which sum to one: a uniform shift of the logits earns nothing. Δlse = Σ ω_j Δx_j
void logsumexp(Call& call) {
  if (!call.wants("self")) return;
  if (!call.argument("dim").isInt() && call.argument("dim").toIntVector().size() != 1) {
    fallback_rule(call);
    return;
  }
  const int64_t dim = dimension(call);
  const Tensor means = logarithmic_means(call.ends("self"), dim);
  const Tensor v = call.argument("keepdim").toBool() ? call.cotangent() : call.cotangent().unsqueeze(dim);
  call.give("self", v * means / total_of_means(means, dim));
}

// Δp_j = L_j (Δx_j − Δlse): pullback diag(L) − LLᵀ/ΣL
void softmax(Call& call) {
  if (!call.wants("self")) return;
  const int64_t dim = dimension(call);
  const Tensor means = logarithmic_means(call.ends("self"), dim);
  const Tensor t = call.cotangent() * means;
  call.give("self", t - means * (t.sum(dim, true) / total_of_means(means, dim)));
}

// Δ(x_j − lse) = Δx_j − Σ ω_k Δx_k
void log_softmax(Call& call) {
  if (!call.wants("self")) return;
  const int64_t dim = dimension(call);
  const Tensor means = logarithmic_means(call.ends("self"), dim);
  const Tensor& v = call.cotangent();
  call.give("self", v - means * (v.sum(dim, true) / total_of_means(means, dim)));
}

}  // namespace

RuleTable softmax_rules() {
  return {{"aten::logsumexp", logsumexp}, {"aten::softmax", softmax}, {"aten::_softmax", softmax}, {"aten::_safe_softmax", softmax}, {"aten::log_softmax", log_softmax}, {"aten::_log_softmax", log_softmax}};
}

}  // namespace pathkernel
