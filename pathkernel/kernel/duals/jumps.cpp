// Functions that jump at zero.

#include <pathkernel/kernel/duals/angle.h>
#include <pathkernel/kernel/duals/dual.h>

#include <ATen/ops/sign.h>
#include <ATen/ops/zeros_like.h>

#include <numbers>

namespace pathkernel {
namespace {

using std::numbers::pi;

/// φ = mean + height·sign(x)/2: F = mean² + (height²/4)(1 − 2θ/π),  Ḟ = (height²/4)(2/π)/s, where the derivative is Dirac's δ: infinite at u = v;
/// zero where it is taken as flat.
/// A variance of zero means u = 0, where sign is 0; step is taken as ½ there as far as F goes.
class Jump : public DualActivation {
 public:
  Jump(std::string name, double mean, double height, SlopeAtJump slope)
      : name_(std::move(name)), mean_(mean), quarter_(height * height / 4), flat_(slope == SlopeAtJump::flat) {}

  Dual dual(const Tensor& a, const Tensor& b, const Tensor& c, bool derivative) const override {
    const auto [theta, s] = angle_between(a, b, c);
    Dual result;
    result.F = ((theta * (-2 / pi) + 1) * quarter_).masked_fill((a * b).eq(0), 0) + mean_ * mean_;
    if (derivative) result.F_dot = flat_ ? at::zeros_like(s) : s.reciprocal() * (quarter_ * 2 / pi);
    return result;
  }
  Tensor apply(const Tensor& x) const override { return mean_ == 0 ? at::sign(x) : x.gt(0).to(x.scalar_type()); }
  bool has_tangent_diagonal() const override { return flat_; }
  std::string specification() const override { return flat_ ? name_ + ":flat" : name_; }

 private:
  std::string name_;
  double mean_, quarter_;
  bool flat_;
};

}  // namespace

DualPtr sign_activation(SlopeAtJump slope) { return std::make_shared<Jump>("sign", 0, 2, slope); }
DualPtr step_activation(SlopeAtJump slope) { return std::make_shared<Jump>("step", 0.5, 1, slope); }

}  // namespace pathkernel
