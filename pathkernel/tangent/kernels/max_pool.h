#pragma once

#include <pathkernel/core/tensors.h>

#include <utility>
#include <vector>

namespace pathkernel {

/// aten::max_pool2d_with_indices on a CPU, same values and same indices (the first of equals; NaN wins), several times faster for the
/// small windows without padding that are common. Every forward pass under a tape of the query or the training side calls it.
/// @param x  [n, C, H, W] contiguous float32 or float64   @param kernel, stride  two numbers each
/// @return values and int64 indices, [n, C, H', W']
std::pair<Tensor, Tensor> max_pool(const Tensor& x, const std::vector<int64_t>& kernel, const std::vector<int64_t>& stride);

/// Whether max_pool may stand in for the operation with these arguments.
bool max_pool_fits(const Tensor& x, at::IntArrayRef padding, at::IntArrayRef dilation, bool ceil_mode);

}  // namespace pathkernel
