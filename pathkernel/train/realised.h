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

/// μ and N of m.lerp_(u, x), x = 1 − β1, as the kernel computes it: m + x(u−m) for x < ½ and u − (1−x)(u−m) otherwise.
inline void put_lerp_into(LinearForm& form, double beta1, at::ScalarType dtype) {
  const double x = realised(1 - beta1, dtype);
  form.mu = x < 0.5 ? 1 - x : realised(1 - x, dtype);
  form.N.number = x < 0.5 ? x : 1 - realised(1 - x, dtype);
}

}  // namespace pathkernel
