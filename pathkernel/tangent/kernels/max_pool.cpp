#include <pathkernel/tangent/kernels/max_pool.h>

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <pathkernel/tangent/kernels/vectorised.h>

#include <algorithm>
#include <limits>

namespace pathkernel {
namespace {

constexpr int64_t block = 64;  // windows worked on at a time

/// Where something stands in a plane.
using Places = std::vector<int32_t>;

/// Windows `first` … first+n−1 of one plane, n ≤ block: number by number of the window, all windows side by side.
template <class T>
PATHKERNEL_INLINE void pool_block(T* __restrict best, int64_t* __restrict indices, const T* __restrict plane, const int32_t* __restrict corners, const Places& window, int64_t n) {
  int32_t where[block];
  for (int64_t i = 0; i < n; ++i) best[i] = plane[corners[i]], where[i] = corners[i];
  for (const int32_t step : window) {
    for (int64_t i = 0; i < n; ++i) {
      const int32_t place = corners[i] + step;
      const T value = plane[place];
      const bool wins = value > best[i] || value != value;
      best[i] = wins ? value : best[i];
      where[i] = wins ? place : where[i];
    }
  }
  for (int64_t i = 0; i < n; ++i) indices[i] = where[i];
}
PATHKERNEL_VECTORISED void pool(float* b, int64_t* i, const float* p, const int32_t* c, const Places& w, int64_t n) { pool_block(b, i, p, c, w, n); }
PATHKERNEL_VECTORISED void pool(double* b, int64_t* i, const double* p, const int32_t* c, const Places& w, int64_t n) { pool_block(b, i, p, c, w, n); }

/// rows × columns places, `down` and `right` apart.
Places places(int64_t rows, int64_t columns, int64_t down, int64_t right) {
  Places out;
  for (int64_t y = 0; y < rows; ++y) for (int64_t x = 0; x < columns; ++x) out.push_back(int32_t(y * down + x * right));
  return out;
}

template <class T>
void pool_planes(Tensor& values, Tensor& indices, const Tensor& x, const Places& corners, const Places& window) {
  const int64_t size = x.size(2) * x.size(3), windows = int64_t(corners.size());
  const T* in = x.const_data_ptr<T>();
  T* out = values.mutable_data_ptr<T>();
  int64_t* at = indices.mutable_data_ptr<int64_t>();
  at::parallel_for(0, x.size(0) * x.size(1), 32, [&](int64_t begin, int64_t end) {
    for (int64_t plane = begin; plane < end; ++plane) {
      for (int64_t first = 0; first < windows; first += block) {
        const int64_t to = plane * windows + first;
        pool(out + to, at + to, in + plane * size, corners.data() + first, window, std::min(block, windows - first));
      }
    }
  });
}

bool all(at::IntArrayRef numbers, int64_t value) {
  return std::all_of(numbers.begin(), numbers.end(), [value](int64_t n) { return n == value; });
}

}  // namespace

bool max_pool_fits(const Tensor& x, at::IntArrayRef padding, at::IntArrayRef dilation, bool ceil_mode) {
  return plain_loops(x) && x.dim() == 4 && x.numel() > 0 && x.size(2) * x.size(3) <= std::numeric_limits<int32_t>::max() && all(padding, 0) && all(dilation, 1) && !ceil_mode;
}

std::pair<Tensor, Tensor> max_pool(const Tensor& x, const std::vector<int64_t>& kernel, const std::vector<int64_t>& stride) {
  const int64_t W = x.size(3), oh = (x.size(2) - kernel[0]) / stride[0] + 1, ow = (W - kernel[1]) / stride[1] + 1;
  Tensor values = at::empty({x.size(0), x.size(1), oh, ow}, x.options());
  Tensor indices = at::empty(values.sizes(), x.options().dtype(at::kLong));
  const Places corners = places(oh, ow, stride[0] * W, stride[1]), window = places(kernel[0], kernel[1], W, 1);
  if (x.scalar_type() == at::kFloat) pool_planes<float>(values, indices, x, corners, window);
  else pool_planes<double>(values, indices, x, corners, window);
  return {values, indices};
}

}  // namespace pathkernel
