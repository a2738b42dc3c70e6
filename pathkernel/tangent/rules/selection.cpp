#include <ATen/ops/where.h>
#include <ATen/ops/zeros_like.h>
#include <pathkernel/tangent/rule.h>

namespace pathkernel {
namespace {

/// Both ends' winners among `x` flattened over the last dimension(s): gives u·v to winner i of end 0 and (1 − u)·v to winner j of end 1,
/// u* = p/(p + q), p = x⁰_i − x⁰_j, q = x¹_j − x¹_i (both ≥ 0); all of v to the winner where they agree.
Tensor give_to_winners(const Ends& x, const Tensor& i, const Tensor& j, const Tensor& v, int64_t dim) {
  Tensor out = at::zeros_like(x.at0);
  if (x.equal() || i.is_same(j)) return out.scatter_add_(dim, i, v);
  const Tensor p = x.at0.gather(dim, i) - x.at0.gather(dim, j), q = x.at1.gather(dim, j) - x.at1.gather(dim, i);
  const Tensor total = p + q, moved = total > 0;
  const Tensor u = at::where(moved, p / at::where(moved, total, 1), at::where(i.eq(j), 1.0, 0.5).to(v.scalar_type()));
  out.scatter_add_(dim, i, v * u);
  return out.scatter_add_(dim, j, v * (1 - u));
}

// y = max over windows
void max_pool(Call& call) {
  if (!call.wants("self")) return;
  const Ends x = call.ends("self"), winner = call.output(1);
  const auto flat = [](const Tensor& t) { return t.flatten(-2); };
  const Ends rows = x.equal() ? [&] { const Tensor t = flat(x.at0); return Ends{t, t}; }() : Ends{flat(x.at0), flat(x.at1)};
  call.give("self", give_to_winners(rows, flat(winner.at0), flat(winner.at1), flat(call.cotangent()), -1).view_as(x.at0));
}

// y, index = max along one dimension (min: the same with the sign of x turned)
void extreme(Call& call, double sign) {
  if (!call.wants("self")) return;
  if (call.node0.outputs.size() != 2 || !call.argument("dim").isInt()) {
    fallback_rule(call);
    return;
  }
  const int64_t dim = call.argument("dim").toInt();
  const bool keep = call.argument("keepdim").toBool();
  const auto kept = [&](const Tensor& t) { return keep ? t : t.unsqueeze(dim); };
  Ends x = call.ends("self");
  const Ends winner = call.output(1);
  if (sign < 0) x = x.equal() ? [&] { const Tensor t = -x.at0; return Ends{t, t}; }() : Ends{-x.at0, -x.at1};
  call.give("self", give_to_winners(x, kept(winner.at0), kept(winner.at1), kept(call.cotangent()), dim));
}

// y = a where c, b elsewhere. The condition is the same at both ends, or the general rule joins them.
void choice(Call& call) {
  const Ends c = call.ends("condition");
  if (!c.equal() && !c.at0.equal(c.at1)) {
    fallback_rule(call);
    return;
  }
  const Tensor& v = call.cotangent();
  call.give_elementwise("self", at::where(c.at0, v, 0));
  call.give_elementwise("other", at::where(c.at0, 0, v));
}

}  // namespace

RuleTable selection_rules() {
  return {{"aten::max_pool2d_with_indices", max_pool},
          {"aten::max", [](Call& call) { extreme(call, 1); }},
          {"aten::min", [](Call& call) { extreme(call, -1); }},
          {"aten::where", choice}};
}

}  // namespace pathkernel
