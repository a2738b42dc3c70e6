#pragma once

#include <pathkernel/spectrum/numerics/numbers.h>
#include <pathkernel/spectrum/zonal_kernel.h>

#include <cmath>

namespace pathkernel {

/// The kernels' formulas (theory 6, sphere form), once for every kind of number X: double, a multiprecision number, and a truncated
/// power series, which gives the expansions at u = ±1. A layer carries its angle θ_ℓ = acos κ^ℓ and forms 1 − κ^ℓ without
/// cancellation, since acos κ would lose half the digits near κ = 1.

/// κ₀ = 1 − θ/π
template <class X>
X arc_cosine_0(const X& theta) {
  using S = typename Numbers<X>::Scalar;
  return S(1) - theta / Numbers<X>::pi();
}

/// 1 − κ₁ = 2 sin²(θ/2) − (sin θ − θ cos θ)/π
template <class X>
X one_minus_arc_cosine_1(const X& theta) {
  using std::cos, std::sin;
  using S = typename Numbers<X>::Scalar;
  const X half = sin(theta / S(2));
  return S(2) * (half * half) - (sin(theta) - theta * cos(theta)) / Numbers<X>::pi();
}

/// acos κ from 1 − κ
template <class X>
X angle_of(const X& one_minus) {
  using std::asin, std::sqrt;
  using S = typename Numbers<X>::Scalar;
  return S(2) * asin(sqrt(one_minus / S(2)));
}

/// J₂/3π = (3 sin θ cos θ + (π−θ)(1 + 2cos²θ))/3π
template <class X>
X arc_cosine_2(const X& theta) {
  using std::cos, std::sin;
  using S = typename Numbers<X>::Scalar;
  const X c = cos(theta);
  return (S(3) * (sin(theta) * c) + (Numbers<X>::pi() - theta) * (S(1) + S(2) * (c * c))) / (S(3) * Numbers<X>::pi());
}

template <class X>
X relu_tangent(int64_t depth, const X& theta) {
  using std::cos;
  using S = typename Numbers<X>::Scalar;
  X angle = theta, tangent = cos(theta);
  for (int64_t l = 2; l <= depth; ++l) {
    const X one_minus = one_minus_arc_cosine_1(angle);
    tangent = tangent * arc_cosine_0(angle) + (S(1) - one_minus);
    if (l < depth) angle = angle_of(one_minus);
  }
  return tangent;
}

template <class X>
X relu_process(int64_t depth, const X& theta) {
  using std::cos;
  using S = typename Numbers<X>::Scalar;
  if (depth == 1) return cos(theta);
  X angle = theta;
  for (int64_t l = 2; l < depth; ++l) angle = angle_of(one_minus_arc_cosine_1(angle));
  return S(1) - one_minus_arc_cosine_1(angle);
}

template <class X>
X deep_step(int64_t depth, const X& theta) {
  X angle = theta;
  for (int64_t l = 2; l < depth; ++l) angle = angle_of(angle / Numbers<X>::pi());
  return arc_cosine_0(angle);
}

template <class X>
X laplace_value(const X& theta, const typename Numbers<X>::Scalar& c) {
  using std::exp, std::sin;
  using S = typename Numbers<X>::Scalar;
  return exp((S(-2) * c) * sin(theta / S(2)));
}

template <class X>
X gaussian_value(const X& theta, const typename Numbers<X>::Scalar& c) {
  using std::exp, std::sin;
  using S = typename Numbers<X>::Scalar;
  const X half = sin(theta / S(2));
  return exp((S(-4) * c) * (half * half));
}

/// κ at the angle θ, for every kernel but the user's own.
template <class X>
X value_at_angle(const ZonalKernel& kernel, const X& theta) {
  using Family = ZonalKernel::Family;
  using S = typename Numbers<X>::Scalar;
  const int64_t n = kernel.depth();
  switch (kernel.family()) {
    case Family::arc_cosine: return n == 0 ? arc_cosine_0(theta) : n == 1 ? S(1) - one_minus_arc_cosine_1(theta) : arc_cosine_2(theta);
    case Family::ntk: return relu_tangent(n, theta);
    case Family::nngp: return relu_process(n, theta);
    case Family::step: return deep_step(n, theta);
    case Family::laplace: return laplace_value(theta, Numbers<X>::parse(kernel.scale()));
    default: return gaussian_value(theta, Numbers<X>::parse(kernel.scale()));
  }
}

}  // namespace pathkernel
