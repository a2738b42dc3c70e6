#include <ATen/ops/where.h>
#include <pathkernel/tangent/kernels/kink.h>
#include <pathkernel/tangent/rule.h>

namespace pathkernel {
namespace {

// y = max over windows
void max_pool(Call& call) {
  if (!call.wants("self")) return;
  const Ends x = call.ends("self"), winner = call.output(1);
  const auto flat = [](const Tensor& t) { return t.flatten(-2); };
  call.give("self", give_to_winners(flat(x.at0), flat(x.at1), flat(winner.at0), flat(winner.at1), flat(call.cotangent())).view_as(x.at0));
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
  const auto last = [&](const Tensor& t) { return (keep || t.dim() == call.ends("self").at0.dim() ? t : t.unsqueeze(dim)).movedim(dim, -1); };
  const Ends x = call.ends("self"), winner = call.output(1);
  call.give("self", give_to_winners(last(x.at0) * sign, last(x.at1) * sign, last(winner.at0), last(winner.at1), last(call.cotangent())).movedim(-1, dim));
}

// y = a where c, b elsewhere. Where c goes from a to b while a − b changes its sign: Δy = u Δa + (1−u) Δb with u = p/(p+q),
// p = a⁰ − b⁰, q = b¹ − a¹ (from b to a: 1−u). Where it goes over otherwise y jumps, and no cotangent comes here (decisions.h).
void choice(Call& call) {
  const Ends c = call.ends("condition"), a = call.ends("self"), b = call.ends("other");
  const Tensor& v = call.cotangent();
  Tensor of_a = c.at0.to(v.scalar_type());
  if (!c.equal() && !c.at0.equal(c.at1)) {
    const Tensor p = a.at0 - b.at0, sum = p + b.at1 - a.at1;
    const Tensor u = at::where(sum != 0, p / at::where(sum != 0, sum, 1), 0.5);
    of_a = at::where(c.at0.eq(c.at1), of_a, at::where(c.at0, u, 1 - u));
  }
  call.give_elementwise("self", v * of_a);
  call.give_elementwise("other", v * (1 - of_a));
}

}  // namespace

RuleTable selection_rules() {
  return {{"aten::max_pool2d_with_indices", max_pool},
          {"aten::max", [](Call& call) { extreme(call, 1); }},
          {"aten::min", [](Call& call) { extreme(call, -1); }},
          {"aten::where", choice}};
}

}  // namespace pathkernel
