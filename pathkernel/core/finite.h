#pragma once

#include <pathkernel/core/tensors.h>

#include <cstdint>

namespace pathkernel {

/// Place of the first NaN or infinite number, counted over all entries in order; −1: there is none (nor among integers).
int64_t first_not_finite(const Tensor& t);
/// The row [i, ...] that it stands in.
int64_t first_row_not_finite(const Tensor& t);

}  // namespace pathkernel
