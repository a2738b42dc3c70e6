#pragma once

#include <pathkernel/core/tensors.h>

namespace pathkernel {

/// The angle θ between u and v, cosθ = c/√(ab), and s = √(ab)·sinθ.
struct Angle {
  Tensor theta, s;
};

/// s = √max(ab − c², 0), θ = atan2(s, c): exactly 0 where a = b = c. (acos(c/√(ab)) loses half of the digits there.)
/// Gradients through a point with s = 0 (u and v collinear) are those along the ray, where θ stays as it is; ∂θ/∂c itself is infinite there.
Angle angle_between(const Tensor& a, const Tensor& b, const Tensor& c);

}  // namespace pathkernel
