#include <ATen/ops/clamp.h>
#include <ATen/ops/erf.h>
#include <ATen/ops/exp.h>
#include <ATen/ops/expm1.h>
#include <ATen/ops/log1p.h>
#include <ATen/ops/maximum.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/sqrt.h>
#include <ATen/ops/tanh.h>
#include <ATen/ops/where.h>
#include <pathkernel/tangent/kernels/kink.h>
#include <pathkernel/tangent/rule.h>
#include <pathkernel/tangent/rules/vjp.h>

#include <cmath>
#include <limits>

namespace pathkernel {
namespace {

double precision(const Tensor& t) { return t.scalar_type() == at::kDouble ? std::numeric_limits<double>::epsilon() : std::numeric_limits<float>::epsilon(); }

/// tanh(x)/x without cancellation: the series below the fourth root of the precision.
Tensor tanhc(const Tensor& x) {
  const Tensor small = x.abs() < std::pow(precision(x), 0.25);
  return at::where(small, 1 - x * x / 3, at::tanh(x) / at::where(small, 1, x));
}

/// (φ₁ − φ₀)/Δ where |Δ| > τ, else φ′(x̄): τ = ε^{1/3}(1 + |x̄|) balances cancellation against the third derivative.
template <class Value, class Slope>
Tensor quotient(const Ends& x, Value value, Slope slope) {
  if (x.equal()) return slope(x.at0);
  const Tensor mean = x.mean(), delta = x.delta();
  const Tensor small = delta.abs() <= std::cbrt(precision(delta)) * (1 + mean.abs());
  return at::where(small, slope(mean), (value(x.at1) - value(x.at0)) / at::where(small, 1, delta));
}

/// A rule from a secant slope: v ∘ S(x₀, x₁).
template <class Slope>
Rule by_slope(Slope slope) {
  return [slope](Call& call) {
    if (call.wants("self") || call.wants_shared("self")) call.give_elementwise("self", call.cotangent() * slope(call.ends("self")));
  };
}

// kinked at zero, slopes p above and n below: both ends on one side: that slope; crossing: (φ₁ − φ₀)/(x₁ − x₀)
void kinked(Call& call, double above, double below) {
  if (!call.wants("self") && !call.wants_shared("self")) return;
  const Ends x = call.ends("self");
  call.give_elementwise("self", kinked_product(call.cotangent(), x.at0, x.at1, above, below));
}

// tanh: (1 − t₀t₁) tanh(Δ)/Δ
Tensor tanh_slope(const Ends& x) {
  const Tensor t0 = at::tanh(x.at0);
  if (x.equal()) return 1 - t0 * t0;
  return (1 - t0 * at::tanh(x.at1)) * tanhc(x.delta());
}

// σ(x) = ½ + ½ tanh(x/2)
Tensor sigmoid_slope(const Ends& x) { return tanh_slope(x.equal() ? Ends{x.at0 / 2, x.at0 / 2} : Ends{x.at0 / 2, x.at1 / 2}) / 4; }
Tensor sigmoid_slope_half(const Ends& x) {
  if (!x.equal()) return sigmoid_slope(x);
  const Tensor s = at::sigmoid(x.at0);
  return s * (1 - s);
}

Tensor normal_cdf(const Tensor& x) { return (1 + at::erf(x * M_SQRT1_2)) * 0.5; }
Tensor normal_density(const Tensor& x) { return at::exp(x * x * -0.5) * (1 / std::sqrt(2 * M_PI)); }

// x·Φ(x): bilinear of x and the secant of Φ
Tensor gelu_slope(const Ends& x) {
  const Tensor cdf = x.equal() ? normal_cdf(x.at0) : (normal_cdf(x.at0) + normal_cdf(x.at1)) / 2;
  return cdf + x.mean() * quotient(x, normal_cdf, normal_density);
}
// tanh form: x·h(x), h = ½(1 + tanh(√(2/π)(x + 0.044715x³)))
Tensor gelu_tanh_slope(const Ends& x) {
  const double c = std::sqrt(2 / M_PI);
  const auto inner = [c](const Tensor& t) { return (t + 0.044715 * t * t * t) * c; };
  const Ends u = x.equal() ? [&] { const Tensor t = inner(x.at0); return Ends{t, t}; }() : Ends{inner(x.at0), inner(x.at1)};
  const Tensor h = x.equal() ? (1 + at::tanh(u.at0)) / 2 : (2 + at::tanh(u.at0) + at::tanh(u.at1)) / 4;
  const Tensor cubic = x.at0 * x.at0 + x.at0 * x.at1 + x.at1 * x.at1;  // (x₁³ − x₀³)/Δ
  return h + x.mean() * 0.5 * tanh_slope(u) * (1 + 0.044715 * cubic) * c;
}

// x·σ(x)
Tensor silu_slope(const Ends& x) {
  const Tensor s = x.equal() ? at::sigmoid(x.at0) : (at::sigmoid(x.at0) + at::sigmoid(x.at1)) / 2;
  return s + x.mean() * sigmoid_slope_half(x);
}

// e^{max} (1 − e^{−|Δ|})/|Δ|: nothing overflows that e^x does not
Tensor exp_slope(const Ends& x) {
  if (x.equal()) return at::exp(x.at0);
  const Tensor d = x.delta().abs();
  return at::exp(at::maximum(x.at0, x.at1)) * at::where(d > 0, at::expm1(-d) / at::where(d > 0, -d, 1), 1);
}

// log1p(Δ/x₀)/Δ
Tensor log_slope(const Ends& x) {
  if (x.equal()) return 1 / x.at0;
  const Tensor ratio = x.delta() / x.at0;
  const Tensor small = ratio.abs() < std::pow(precision(ratio), 1.0 / 3);
  return at::where(small, 1 - ratio / 2 + ratio * ratio / 3, at::log1p(ratio) / at::where(small, 1, ratio)) / x.at0;
}

// √x: 1/(√x₀ + √x₁);  1/√x: −1/(√x₀√x₁(√x₀ + √x₁));  1/x: −1/(x₀x₁)
Tensor sqrt_slope(const Ends& x) { return 1 / (at::sqrt(x.at0) + at::sqrt(x.at1)); }
Tensor rsqrt_slope(const Ends& x) {
  const Tensor r0 = at::sqrt(x.at0), r1 = at::sqrt(x.at1);
  return -1 / (r0 * r1 * (r0 + r1));
}
Tensor reciprocal_slope(const Ends& x) { return -1 / (x.at0 * x.at1); }

// x²: x₀ + x₁;  x³: x₀² + x₀x₁ + x₁²;  √x and 1/x as above; other powers through the general rule
void power(Call& call) {
  const c10::IValue& exponent = call.argument("exponent");
  const double p = exponent.isScalar() ? exponent.toScalar().toDouble() : std::nan("");
  if (p == 2 || p == 3 || p == 0.5 || p == -0.5 || p == -1) {
    const auto slope = [p](const Ends& x) -> Tensor {
      if (p == 2) return x.at0 + x.at1;
      if (p == 3) return x.at0 * x.at0 + x.at0 * x.at1 + x.at1 * x.at1;
      if (p == 0.5) return sqrt_slope(x);
      return p == -1 ? reciprocal_slope(x) : rsqrt_slope(x);
    };
    by_slope(slope)(call);
    return;
  }
  fallback_rule(call);
}

// clamp is relu twice: slope 1 inside, 0 outside, the quotient across an edge
void clamped(Call& call) {
  const auto low = call.argument("min"), high = call.argument("max");
  if (!(low.isNone() || low.isScalar()) || !(high.isNone() || high.isScalar())) {
    fallback_rule(call);
    return;
  }
  const double a = low.isNone() ? -std::numeric_limits<double>::infinity() : low.toScalar().toDouble();
  const double b = high.isNone() ? std::numeric_limits<double>::infinity() : high.toScalar().toDouble();
  const auto inside = [a, b](const Tensor& t) { return t.gt(a).logical_and(t.lt(b)); };
  by_slope([&](const Ends& x) -> Tensor {
    const Tensor in0 = inside(x.at0);
    if (x.equal()) return in0.to(x.at0.scalar_type());
    const Tensor in1 = inside(x.at1), both = in0.logical_and(in1), delta = x.delta(), moved = delta.ne(0);
    const Tensor secant = (x.at1.clamp(a, b) - x.at0.clamp(a, b)) / at::where(moved, delta, 1);
    return at::where(both, 1, at::where(moved, secant, in0.to(delta.scalar_type())));
  })(call);
}

// Any other elementwise function of one tensor: the quotient where the ends differ enough, its own derivative at the mean where not.
void own_quotient(Call& call) {
  const Slot* slot = call.slot("self");
  if (slot == nullptr || (!call.wants(*slot) && !call.wants_shared(*slot))) return;
  const Ends x = call.ends(*slot), y = call.output();
  const Tensor at_mean = own_vjp(call, {slot}, {x.mean()}, call.cotangents)[0];
  if (x.equal()) {
    call.give_elementwise(*slot, at_mean);
    return;
  }
  const Tensor delta = x.delta();
  const Tensor small = delta.abs() <= std::cbrt(precision(delta)) * (1 + x.mean().abs());
  call.give_elementwise(*slot, at::where(small, at_mean, call.cotangent() * y.delta() / at::where(small, 1, delta)));
}

}  // namespace

RuleTable pointwise_rules() {
  RuleTable rules = {
      {"aten::relu", [](Call& call) { kinked(call, 1, 0); }},
      {"aten::leaky_relu", [](Call& call) { kinked(call, 1, call.argument("negative_slope").toScalar().toDouble()); }},
      {"aten::abs", [](Call& call) { kinked(call, 1, -1); }},
      {"aten::clamp", clamped},
      {"aten::tanh", by_slope(tanh_slope)},
      {"aten::sigmoid", by_slope(sigmoid_slope_half)},
      {"aten::gelu", [](Call& call) { by_slope(call.argument("approximate").toStringRef() == "tanh" ? gelu_tanh_slope : gelu_slope)(call); }},
      {"aten::silu", by_slope(silu_slope)},
      {"aten::exp", by_slope(exp_slope)},
      {"aten::log", by_slope(log_slope)},
      {"aten::sqrt", by_slope(sqrt_slope)},
      {"aten::rsqrt", by_slope(rsqrt_slope)},
      {"aten::reciprocal", by_slope(reciprocal_slope)},
      {"aten::square", by_slope([](const Ends& x) { return x.at0 + x.at1; })},
      {"aten::pow", power},
  };
  for (const char* name : {"softplus", "elu", "erf", "sin", "cos", "log1p", "expm1", "hardtanh", "hardswish", "hardsigmoid", "log_sigmoid_forward",
                           "selu", "celu", "mish", "atan", "asinh"}) {
    rules.emplace_back(std::string("aten::") + name, own_quotient);
  }
  return rules;
}

}  // namespace pathkernel
