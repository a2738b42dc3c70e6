#include <ATen/ops/bmm.h>
#include <ATen/ops/conv2d.h>
#include <ATen/ops/convolution.h>
#include <ATen/ops/convolution_backward.h>
#include <ATen/ops/matmul.h>
#include <pathkernel/core/error.h>
#include <pathkernel/tangent/kernels/convolution.h>
#include <pathkernel/tangent/rule.h>

namespace pathkernel {
namespace {

// All here: y = B(a, w)  ⇒  Δy = B(Δa, w̄) + B(ā, Δw), bar the mean of the ends: the weight's factors are (v, ā).

// y = a·W (+ b): a [..., in], W [in, out] or, transposed, [out, in]
void dense_layer(Call& call, const char* a, const char* w, const char* bias, bool w_is_out_in, double scale, double bias_scale) {
  const Tensor v = scale == 1 ? call.cotangent() : call.cotangent() * scale;
  if (call.wants(a)) {
    const Tensor weight = call.ends(w).mean();
    call.give(a, at::matmul(v, w_is_out_in ? weight : weight.transpose(-1, -2)));
  }
  if (call.wants_shared(w)) {
    const Tensor left = call.rows_by_example(v).transpose(1, 2);                    // [n, out, T]
    const Tensor right = call.rows_by_example(call.ends(a).mean()).transpose(1, 2); // [n, in, T]
    call.give_shared(w, w_is_out_in ? outer_factor(left, right) : outer_factor(right, left));
  } else if (call.wants(w)) {
    const Tensor rows = call.ends(a).mean().reshape({-1, call.ends(a).at0.size(-1)}), flat = v.reshape({-1, v.size(-1)});
    call.give(w, w_is_out_in ? flat.t().matmul(rows) : rows.t().matmul(flat));
  }
  if (bias != nullptr) call.give_elementwise(bias, bias_scale == 1 ? call.cotangent() : call.cotangent() * bias_scale);
}

double number(const Call& call, const char* name) { return call.argument(name).toScalar().toDouble(); }

void linear(Call& call) { dense_layer(call, "input", "weight", call.has("bias") ? "bias" : nullptr, true, 1, 1); }
void addmm(Call& call) { dense_layer(call, "mat1", "mat2", "self", false, number(call, "alpha"), number(call, "beta")); }

// C = A B, batched or not; each side may be shared by the examples
void product(Call& call, const char* a, const char* b, double scale) {
  const Ends left = call.ends(a), right = call.ends(b);
  if (right.at0.dim() == 2 && left.at0.dim() >= 2 && !call.wants_shared(a)) {
    dense_layer(call, a, b, nullptr, false, scale, 1);
    return;
  }
  if (call.wants_shared(a) || call.wants_shared(b) || left.at0.dim() < 2 || right.at0.dim() < 2) {
    fallback_rule(call);
    return;
  }
  const Tensor v = scale == 1 ? call.cotangent() : call.cotangent() * scale;
  if (call.wants(a)) call.give(a, at::matmul(v, right.mean().transpose(-1, -2)));
  if (call.wants(b)) call.give(b, at::matmul(left.mean().transpose(-1, -2), v));
}

void baddbmm(Call& call) {
  product(call, "batch1", "batch2", number(call, "alpha"));
  call.give_elementwise("self", call.cotangent() * number(call, "beta"));
}

// y = a ∘ b
void hadamard(Call& call) {
  const Tensor& v = call.cotangent();
  if (call.wants("self") || call.wants_shared("self")) call.give_elementwise("self", v * call.numbers("other").mean());
  if (call.wants("other") || call.wants_shared("other")) call.give_elementwise("other", v * call.numbers("self").mean());
}

// y = a / b = a · (1/b): Δ(1/b) = −Δb / (b₀b₁)
void quotient(Call& call) {
  if (call.node0.op.operator_name().overload_name.find("mode") != std::string::npos) {
    fallback_rule(call);
    return;
  }
  const Ends b = call.numbers("other");
  const Tensor& v = call.cotangent();
  if (call.wants("self") || call.wants_shared("self")) call.give_elementwise("self", v * Ends{1 / b.at0, 1 / b.at1}.mean());
  if (call.wants("other") || call.wants_shared("other")) call.give_elementwise("other", -v * call.numbers("self").mean() / (b.at0 * b.at1));
}

std::vector<int64_t> pair(const c10::IValue& value) {
  std::vector<int64_t> out = value.toIntVector();
  if (out.size() == 1) out.push_back(out[0]);
  return out;
}

// y = a ⋆ W + b (two dimensions): the weight's gradient is Σ_t v_t ⊗ patch_t(ā)
void convolution(Call& call, const ConvolutionShape& c) {
  const Ends w = call.ends("weight");
  const Tensor& v = call.cotangent();
  if (call.wants("input")) {
    const Tensor& input = call.ends("input").at0;
    call.give("input", std::get<0>(at::convolution_backward(v, input, w.mean(), std::nullopt, c.stride, c.padding, c.dilation, false, {0, 0}, c.groups, {true, false, false})));
  }
  if (call.wants_shared("weight")) {
    // Positions outnumber the kernel's numbers in every convolution worth the name: written out at once, no patches are kept.
    call.give_shared("weight", dense_factor(convolution_weight_gradients(v, call.ends("input").mean(), c)));
  } else if (call.wants("weight")) {
    fallback_rule(call);
    return;
  }
  if (call.has("bias") && call.wants_shared("bias")) call.give_shared("bias", dense_factor(v.sum({2, 3})));
}

void convolution_2d(Call& call) {
  if (call.argument("padding").isString() || call.ends("input").at0.dim() != 4) {  // padding by name, or no batch
    fallback_rule(call);
    return;
  }
  convolution(call, {call.ends("weight").at0.sizes().slice(2).vec(), pair(call.argument("stride")), pair(call.argument("padding")), pair(call.argument("dilation")), call.argument("groups").toInt()});
}

void convolution_any(Call& call) {
  if (call.ends("weight").at0.dim() != 4 || call.argument("transposed").toBool() || call.ends("input").at0.dim() != 4) {
    fallback_rule(call);
    return;
  }
  convolution(call, {call.ends("weight").at0.sizes().slice(2).vec(), pair(call.argument("stride")), pair(call.argument("padding")), pair(call.argument("dilation")), call.argument("groups").toInt()});
}

}  // namespace

RuleTable bilinear_rules() {
  return {{"aten::linear", linear},
          {"aten::addmm", addmm},
          {"aten::mm", [](Call& call) { product(call, "self", "mat2", 1); }},
          {"aten::bmm", [](Call& call) { product(call, "self", "mat2", 1); }},
          {"aten::matmul", [](Call& call) { product(call, "self", "other", 1); }},
          {"aten::baddbmm", baddbmm},
          {"aten::mul", hadamard},
          {"aten::div", quotient},
          {"aten::conv2d", convolution_2d},
          {"aten::convolution", convolution_any}};
}

}  // namespace pathkernel
