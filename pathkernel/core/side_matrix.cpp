#include <pathkernel/core/side_matrix.h>

#include <ATen/ops/matmul.h>

namespace pathkernel {

Tensor SideMatrix::product(const Tensor& flat, const Tensor& matrix) const {
  const int64_t size = matrix.size(0), other = flat.size(-1) / size;
  const Tensor product = from_right ? at::matmul(flat.reshape({-1, other, size}), matrix) : at::matmul(matrix, flat.reshape({-1, size, other}));
  return product.reshape(flat.sizes());
}

}  // namespace pathkernel
