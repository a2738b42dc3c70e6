#include <pathkernel/kernel/duals/angle.h>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/atan2.h>
#include <ATen/ops/where.h>

#include <numbers>

namespace pathkernel {

Angle angle_between(const Tensor& a, const Tensor& b, const Tensor& c) {
  const Tensor square = (a * b).sub_(c * c);  // no fused multiplication: the two roundings cancel where a = b = c
  const bool differentiate = at::GradMode::is_enabled() && square.requires_grad();
  if (!differentiate) {
    const Tensor s = square.clamp_min_(0).sqrt_();
    return {at::atan2(s, c), s};
  }
  // sqrt and atan2 are kept away from where their gradients are infinite.
  const Tensor open = square > 0;
  const Tensor s = at::where(open, square, 1.0).sqrt();
  const Tensor straight = at::where(c < 0, std::numbers::pi, 0.0).to(c.scalar_type());
  return {at::where(open, at::atan2(s, c), straight), at::where(open, s, 0.0)};
}

}  // namespace pathkernel
