#pragma once

#include <pathkernel/core/tensors.h>

namespace pathkernel {

struct ConvolutionShape {
  std::vector<int64_t> kernel, stride, padding, dilation;  ///< two numbers each
  int64_t groups = 1;
};

/// Per-example gradients of a convolution's weight: Σ_t v_t ⊗ patch_t(a) for every example, [n, out·(in/groups)·kh·kw].
/// On a CPU and with stride 1 no patches are laid out: with the rows of v as far apart as those of the padded a, the gradient of one
/// number of the kernel is the product of the whole plane v with the plane a moved by that number's place.
/// @param v  cotangents [n, out, H', W']   @param a  inputs [n, in, H, W]
/// Cost: 2·n·T·W operations, T = H'·W' positions, W numbers in the weight.
Tensor convolution_weight_gradients(const Tensor& v, const Tensor& a, const ConvolutionShape& shape);
/// The same by im2col and a batched product: the twin that tests compare with, and the way for other strides and other devices.
Tensor convolution_weight_gradients_by_operations(const Tensor& v, const Tensor& a, const ConvolutionShape& shape);

}  // namespace pathkernel
