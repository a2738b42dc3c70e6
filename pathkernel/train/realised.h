#pragma once

#include <c10/core/ScalarType.h>

namespace pathkernel {

/// The number that a kernel working in `dtype` multiplies by when it is given `number`: torch's kernels compute float32 (and
/// half precision) with the nearest float32, float64 with the number itself. A linear form stated with realised numbers
/// differs from the stored update by the roundings of the arithmetic alone.
inline double realised(double number, at::ScalarType dtype) {
  return dtype == at::kDouble ? number : static_cast<double>(static_cast<float>(number));
}

}  // namespace pathkernel
