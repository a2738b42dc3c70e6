#pragma once

#include <pathkernel/core/tensors.h>

#include <cstdint>

namespace pathkernel {

/// Rows first … first+count−1 of each; views.
inline Tensors rows(const Tensors& tensors, int64_t first, int64_t count) {
  Tensors some;
  for (const Tensor& t : tensors) some.push_back(t.narrow(0, first, count));
  return some;
}

}  // namespace pathkernel
