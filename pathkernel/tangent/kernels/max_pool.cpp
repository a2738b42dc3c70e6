#include <pathkernel/tangent/kernels/max_pool.h>

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <pathkernel/tangent/kernels/vectorised.h>

#include <algorithm>

namespace pathkernel {
namespace {

template <class T>
void pool_planes(Tensor& values, Tensor& indices, const Tensor& x, const std::vector<int64_t>& kernel, const std::vector<int64_t>& stride) {
  const int64_t H = x.size(2), W = x.size(3), oh = values.size(2), ow = values.size(3), kh = kernel[0], kw = kernel[1];
  const T* in = x.const_data_ptr<T>();
  T* out = values.mutable_data_ptr<T>();
  int64_t* at = indices.mutable_data_ptr<int64_t>();
  at::parallel_for(0, x.size(0) * x.size(1), 32, [&](int64_t begin, int64_t end) {
    for (int64_t plane = begin; plane < end; ++plane) {
      const T* a = in + plane * H * W;
      for (int64_t y = 0; y < oh; ++y) {
        for (int64_t c = 0; c < ow; ++c) {
          const int64_t corner = y * stride[0] * W + c * stride[1];
          T best = a[corner];
          int64_t where = corner;
          for (int64_t ky = 0; ky < kh; ++ky) {
            for (int64_t kx = 0; kx < kw; ++kx) {
              const int64_t place = corner + ky * W + kx;
              const T value = a[place];
              const bool wins = value > best || value != value;
              best = wins ? value : best;
              where = wins ? place : where;
            }
          }
          out[(plane * oh + y) * ow + c] = best;
          at[(plane * oh + y) * ow + c] = where;
        }
      }
    }
  });
}

bool all(at::IntArrayRef numbers, int64_t value) {
  return std::all_of(numbers.begin(), numbers.end(), [value](int64_t n) { return n == value; });
}

}  // namespace

bool max_pool_fits(const Tensor& x, at::IntArrayRef padding, at::IntArrayRef dilation, bool ceil_mode) {
  return plain_loops(x) && x.dim() == 4 && x.numel() > 0 && all(padding, 0) && all(dilation, 1) && !ceil_mode;
}

std::pair<Tensor, Tensor> max_pool(const Tensor& x, const std::vector<int64_t>& kernel, const std::vector<int64_t>& stride) {
  const int64_t oh = (x.size(2) - kernel[0]) / stride[0] + 1, ow = (x.size(3) - kernel[1]) / stride[1] + 1;
  Tensor values = at::empty({x.size(0), x.size(1), oh, ow}, x.options());
  Tensor indices = at::empty(values.sizes(), x.options().dtype(at::kLong));
  if (x.scalar_type() == at::kFloat) pool_planes<float>(values, indices, x, kernel, stride);
  else pool_planes<double>(values, indices, x, kernel, stride);
  return {values, indices};
}

}  // namespace pathkernel
