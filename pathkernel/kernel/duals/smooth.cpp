// Functions whose dual has a smooth closed form. All determinants are written with ab − c², which is exactly 0 where a = b = c.

#include <pathkernel/core/error.h>
#include <pathkernel/kernel/duals/dual.h>
#include <pathkernel/kernel/specification.h>

#include <ATen/ops/atan2.h>
#include <ATen/ops/erf.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/where.h>
#include <fmt/format.h>

#include <cmath>
#include <numbers>

namespace pathkernel {
namespace {

using std::numbers::pi;

Tensor gap(const Tensor& a, const Tensor& b, const Tensor& c) { return (a * b - c * c).clamp_min(0); }

/// "name" when the numbers are the defaults, else "name:1,2".
std::string with_numbers(const std::string& name, const std::vector<double>& numbers, const std::vector<double>& defaults) {
  if (numbers == defaults) return name;
  std::string text = name;
  for (size_t k = 0; k < numbers.size(); ++k) text += (k == 0 ? ":" : ",") + print_number(numbers[k]);
  return text;
}

/// erf: R² = (1 + 2a)(1 + 2b) − 4c² = 1 + 2a + 2b + 4(ab − c²);  F = (2/π)atan2(2c, R),  Ḟ = (4/π)/R.
/// With a·erf(bx) + c: variances times b², F times a² plus c² (erf is odd: no mixed term).
class Erf : public DualActivation {
 public:
  Erf(double a, double b, double c) : a_(a), b_(b), c_(c) {}
  Dual dual(const Tensor& a, const Tensor& b, const Tensor& c, bool derivative) const override {
    const double w = 2 * b_ * b_;
    const Tensor R = (gap(a, b, c) * (w * w) + (a + b) * w + 1).sqrt();
    Dual result;
    result.F = at::atan2(c * w, R) * (a_ * a_ * 2 / pi) + c_ * c_;
    if (derivative) result.F_dot = R.reciprocal() * (a_ * a_ * b_ * b_ * 4 / pi);
    return result;
  }
  Tensor apply(const Tensor& x) const override { return at::erf(x * b_) * a_ + c_; }
  std::string specification() const override { return with_numbers("erf", {a_, b_, c_}, {1, 1, 0}); }

 private:
  double a_, b_, c_;
};

/// xΦ(x): D = (1 + a)(1 + b) − c², Π = ¼ + atan2(c, √D)/2π, t = 1/(1 + a) + 1/(1 + b);
/// F = cΠ + (ab + c²(t − 1))/(2π√D),  Ḟ = Π + ct/(2π√D) + c/(2πD^{3/2}).
class Gelu : public DualActivation {
 public:
  Dual dual(const Tensor& a, const Tensor& b, const Tensor& c, bool derivative) const override {
    const Tensor D = gap(a, b, c) + a + b + 1, root = D.sqrt();
    const Tensor Pi = at::atan2(c, root) * (1 / (2 * pi)) + 0.25;
    const Tensor t = (a + 1).reciprocal() + (b + 1).reciprocal();
    Dual result;
    result.F = c * Pi + (a * b + c * c * (t - 1)) / (root * (2 * pi));
    if (derivative) result.F_dot = Pi + c * (t + D.reciprocal()) / (root * (2 * pi));
    return result;
  }
  Tensor apply(const Tensor& x) const override { return at::gelu(x); }
  std::string specification() const override { return "gelu"; }
};

/// (e₋ − e₊)/2 for e∓ = exp(−(m ∓ c)): by sinh where the two are close, so that no digits cancel.
Tensor half_difference(const Tensor& minus, const Tensor& plus, const Tensor& mean, const Tensor& c) {
  const Tensor near = c.abs() < 1;
  return at::where(near, c.clamp(-1, 1).sinh() * (-mean).exp(), (minus - plus) * 0.5);
}

/// α sin(βx + γ): with e∓ = exp(−β²((a + b)/2 ∓ c)) and d = cos(2γ), F = (α²/2)(e₋ − d·e₊) and Ḟ = (α²β²/2)(e₋ + d·e₊).
class Sine : public DualActivation {
 public:
  Sine(double a, double b, double c, bool cosine) : a_(a), b_(b), c_(c), cosine_(cosine) {}
  Dual dual(const Tensor& a, const Tensor& b, const Tensor& c, bool derivative) const override {
    const double w = b_ * b_, d = cosine_ ? -std::cos(2 * c_) : std::cos(2 * c_);
    const Tensor mean = (a + b) * (w / 2), cw = c * w;
    const Tensor minus = (cw - mean).exp(), plus = (-cw - mean).exp();
    const Tensor half = half_difference(minus, plus, mean, cw);
    Dual result;
    result.F = (half + plus * ((1 - d) / 2)) * (a_ * a_);
    if (derivative) result.F_dot = (half + plus * ((1 + d) / 2)) * (a_ * a_ * w);
    return result;
  }
  Tensor apply(const Tensor& x) const override {
    const Tensor phase = x * b_ + c_;
    return (cosine_ ? phase.cos() : phase.sin()) * a_;
  }
  std::string specification() const override { return with_numbers(cosine_ ? "cos" : "sin", {a_, b_, c_}, {1, 1, 0}); }

 private:
  double a_, b_, c_;
  bool cosine_;
};

/// αe^{βx}: F = α² exp(β²((a + b)/2 + c)),  Ḟ = β²F.
class Exponential : public DualActivation {
 public:
  Exponential(double a, double b) : a_(a), b_(b) {}
  Dual dual(const Tensor& a, const Tensor& b, const Tensor& c, bool derivative) const override {
    Dual result;
    result.F = (((a + b) * 0.5 + c) * (b_ * b_)).exp() * (a_ * a_);
    if (derivative) result.F_dot = result.F * (b_ * b_);
    return result;
  }
  Tensor apply(const Tensor& x) const override { return (x * b_).exp() * a_; }
  std::string specification() const override { return with_numbers("exp", {a_, b_}, {1, 1}); }

 private:
  double a_, b_;
};

/// αe^{βx²}, w = −2β: D = (1 + wa)(1 + wb) − w²c²;  F = α²D^{−½},  Ḟ = α²w²cD^{−3/2}.
class Gaussian : public DualActivation {
 public:
  Gaussian(double a, double b) : a_(a), b_(b) {}
  Dual dual(const Tensor& a, const Tensor& b, const Tensor& c, bool derivative) const override {
    const double w = -2 * b_;
    const Tensor D = gap(a, b, c) * (w * w) + (a + b) * w + 1;
    Dual result;
    result.F = D.rsqrt() * (a_ * a_);
    if (derivative) result.F_dot = c * result.F / D * (w * w);
    return result;
  }
  Tensor apply(const Tensor& x) const override { return (x * x * b_).exp() * a_; }
  std::string specification() const override { return with_numbers("gaussian", {a_, b_}, {1, -0.5}); }

 private:
  double a_, b_;
};

}  // namespace

DualPtr erf_activation(double a, double b, double c) { return std::make_shared<Erf>(a, b, c); }
DualPtr gelu() { return std::make_shared<Gelu>(); }
DualPtr sine(double a, double b, double c) { return std::make_shared<Sine>(a, b, c, false); }
DualPtr cosine(double a, double b, double c) { return std::make_shared<Sine>(a, b, c, true); }
DualPtr exponential(double a, double b) { return std::make_shared<Exponential>(a, b); }

DualPtr gaussian(double a, double b) {
  if (!(b < 0)) throw InvalidInput(fmt::format("activation gaussian: b is {} in a·exp(b·x²), but it must be below zero", b));
  return std::make_shared<Gaussian>(a, b);
}

}  // namespace pathkernel
