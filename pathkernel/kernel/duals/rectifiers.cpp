// Piecewise linear functions, and the rectified square.

#include <pathkernel/core/error.h>
#include <pathkernel/kernel/duals/angle.h>
#include <pathkernel/kernel/duals/dual.h>
#include <pathkernel/kernel/specification.h>

#include <ATen/ops/addcmul.h>
#include <fmt/format.h>

#include <numbers>

namespace pathkernel {
namespace {

using std::numbers::pi;

/// φ = p x + q|x|, p = (above + below)/2, q = (above − below)/2. With F_abs = (2/π)(s + c(π/2 − θ)):
///     F = (p² + q²)c + (2q²/π)(s − cθ),   Ḟ = p² + q² − (2q²/π)θ
/// which at θ = 0 is exact without any π in it.
class Rectifier : public DualActivation {
 public:
  Rectifier(double below, double above) : below_(below), above_(above) {}

  Dual dual(const Tensor& a, const Tensor& b, const Tensor& c, bool derivative) const override {
    const double p = (above_ + below_) / 2, q = (above_ - below_) / 2;
    const auto [theta, s] = angle_between(a, b, c);
    Dual result;
    result.F = at::addcmul(s, c, theta, -1).mul_(2 * q * q / pi).add_(c, p * p + q * q);  // few passes over few tensors
    if (derivative) result.F_dot = (theta * (-2 * q * q / pi)).add_(p * p + q * q);
    return result;
  }
  Tensor apply(const Tensor& x) const override { return x.clamp_min(0) * above_ + x.clamp_max(0) * below_; }
  std::string specification() const override {
    if (above_ != 1) return "abrelu:" + print_number(below_) + "," + print_number(above_);
    return below_ == 0 ? "relu" : below_ == -1 ? "abs" : "leaky:" + print_number(below_);
  }

 private:
  double below_, above_;
};

/// x₊²: F = ab·J₂/2π, J₂ = 3 sinθ cosθ + (π − θ)(1 + 2cos²θ);  Ḟ = 4F_relu.
class RectifiedSquare : public DualActivation {
 public:
  Dual dual(const Tensor& a, const Tensor& b, const Tensor& c, bool derivative) const override {
    const auto [theta, s] = angle_between(a, b, c);
    const Tensor square = a * b + c * c * 2;
    Dual result;
    result.F = square * 0.5 + (s * c * 3 - theta * square) * (1 / (2 * pi));
    if (derivative) result.F_dot = c * 2 + (s - c * theta) * (2 / pi);
    return result;
  }
  Tensor apply(const Tensor& x) const override { return x.clamp_min(0).square(); }
  std::string specification() const override { return "rectified:2"; }
};

}  // namespace

DualPtr ab_relu(double below, double above) { return std::make_shared<Rectifier>(below, above); }
DualPtr relu() { return ab_relu(0, 1); }
DualPtr leaky_relu(double alpha) { return ab_relu(alpha, 1); }
DualPtr absolute_value() { return ab_relu(-1, 1); }

DualPtr rectified_monomial(int64_t degree) {
  if (degree == 0) return step_activation();
  if (degree == 1) return relu();
  if (degree == 2) return std::make_shared<RectifiedSquare>();
  throw InvalidInput(fmt::format("rectified monomial: degree is {}, but only 0, 1 and 2 are known", degree));
}

}  // namespace pathkernel
