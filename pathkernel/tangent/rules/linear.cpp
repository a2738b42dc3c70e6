#include <ATen/ops/where.h>
#include <fmt/format.h>
#include <pathkernel/core/error.h>
#include <pathkernel/tangent/rule.h>
#include <pathkernel/tangent/rules/vjp.h>

namespace pathkernel {
namespace {

// y = A x: its own transpose, wherever it is taken.
void own_transpose(Call& call) {
  std::vector<const Slot*> slots;
  Tensors point;
  for (const Slot& slot : call.node0.slots) {
    if (call.wants_shared(slot)) {  // a parameter joined to rows of examples (a class token): one example at a time
      fallback_rule(call);
      return;
    }
    if (!call.wants(slot)) continue;
    slots.push_back(&slot);
    point.push_back(call.ends(slot).at0);
  }
  if (slots.empty()) return;
  const Tensors given = own_vjp(call, slots, point, call.cotangents);
  for (size_t k = 0; k < slots.size(); ++k) call.give(*slots[k], given[k]);
}

// y is x under another shape: so is the cotangent.
void reshaped(Call& call) {
  if (call.wants("self")) call.give("self", call.cotangent().reshape(call.ends("self").at0.sizes()));
}

// y = x
void same(Call& call) {
  if (call.wants("self")) call.give("self", call.cotangent());
}

// y = z, over whatever was there (copy_)
void copied(Call& call) { call.give_elementwise("src", call.cotangent()); }

// y = xᵀ (two dimensions)
void transposed(Call& call) {
  if (call.wants("self")) call.give("self", call.cotangent().t());
}

// y = x + αz, x − αz
void sum(Call& call, double sign) {
  const double alpha = sign * call.argument("alpha").toScalar().toDouble();
  const Tensor& v = call.cotangent();
  call.give_elementwise("self", v);
  call.give_elementwise("other", alpha == 1 ? v : v * alpha);
}

// y = z − αx
void reversed_difference(Call& call) {
  call.give_elementwise("self", call.cotangent() * -call.argument("alpha").toScalar().toDouble());
  call.give_elementwise("other", call.cotangent());
}

// y = −x
void negative(Call& call) { call.give_elementwise("self", -call.cotangent()); }

// y = x where m is not set, a constant where it is
void masked(Call& call) {
  const Tensor& mask = call.ends("mask").at0;
  call.give_elementwise("self", call.cotangent().masked_fill(mask, 0));
}

// y = W[index], linear in W: row index_t of W's gradient receives v_t
void embedding(Call& call) {
  const Ends index = call.ends("indices");
  for (const char* option : {"scale_grad_by_freq", "sparse"})
    if (call.argument(option).toBool())
      throw InvalidInput(fmt::format("the tape: embedding has {}=True, with which its gradient is no sum over the examples that can be read; leave it out", option));
  if (!call.wants_shared("weight")) {
    own_transpose(call);
    return;
  }
  const Tensor v = call.rows_by_example(call.cotangent());
  Tensor rows = call.rows_by_example(index.at0.unsqueeze(-1)).squeeze(-1);
  const int64_t padding = call.argument("padding_idx").toInt();
  if (padding >= 0) rows = rows.masked_fill(rows == padding, -1);
  call.give_shared("weight", rows_factor(rows, v, call.ends("weight").at0.size(0)));
}

}  // namespace

RuleTable linear_rules() {
  RuleTable rules;
  for (const char* name : {"permute", "transpose", "expand", "slice", "select", "squeeze", "unsqueeze", "unfold", "index_select", "index", "gather",
                           "split", "split_with_sizes", "unbind", "flip", "roll", "repeat", "diagonal", "as_strided", "cat", "stack", "sum", "mean",
                           "avg_pool1d", "avg_pool2d", "_adaptive_avg_pool2d", "constant_pad_nd", "_to_copy", "cumsum", "scatter_add", "index_add"}) {
    rules.emplace_back(std::string("aten::") + name, own_transpose);
  }
  for (const char* name : {"view", "_unsafe_view", "_reshape_alias"}) rules.emplace_back(std::string("aten::") + name, reshaped);
  for (const char* name : {"clone", "detach", "alias", "lift_fresh"}) rules.emplace_back(std::string("aten::") + name, same);
  rules.emplace_back("aten::copy", copied);
  rules.emplace_back("aten::t", transposed);
  rules.emplace_back("aten::add", [](Call& call) { sum(call, 1); });
  rules.emplace_back("aten::sub", [](Call& call) { sum(call, -1); });
  rules.emplace_back("aten::rsub", reversed_difference);
  rules.emplace_back("aten::neg", negative);
  rules.emplace_back("aten::masked_fill", masked);
  rules.emplace_back("aten::embedding", embedding);
  return rules;
}

}  // namespace pathkernel
