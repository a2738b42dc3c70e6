#pragma once

#include <pathkernel/train/linear_form.h>

#include <c10/core/ScalarType.h>

namespace pathkernel {

/// The number that a kernel working in `dtype` multiplies by when it is given `number`: torch's kernels compute float32 (and
/// half precision) with the nearest float32, float64 with the number itself. A linear form stated with realised numbers
/// differs from the stored update by the roundings of the arithmetic alone.
inline double realised(double number, at::ScalarType dtype) {
  return dtype == at::kDouble ? number : static_cast<double>(static_cast<float>(number));
}

/// What a.lerp(b, x) makes of a and of b, as the kernel computes it: a + x(b−a) for x < ½ and b − (1−x)(b−a) otherwise.
struct Lerp { double of_a, of_b; };
inline Lerp realised_lerp(double x, at::ScalarType dtype) {
  x = realised(x, dtype);
  if (x < 0.5) return {1 - x, x};
  return {realised(1 - x, dtype), 1 - realised(1 - x, dtype)};
}

/// μ and N of m.lerp_(u, 1 − β1).
inline void put_lerp_into(LinearForm& form, double beta1, at::ScalarType dtype) {
  const Lerp lerp = realised_lerp(1 - beta1, dtype);
  form.mu = lerp.of_a;
  form.N.number = lerp.of_b;
}

}  // namespace pathkernel
