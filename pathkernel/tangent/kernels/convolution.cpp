#include <pathkernel/tangent/kernels/convolution.h>

#include <ATen/Parallel.h>
#include <ATen/ops/bmm.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/im2col.h>
#include <pathkernel/tangent/kernels/vectorised.h>

#include <algorithm>
#include <cstring>

namespace pathkernel {
namespace {

constexpr int64_t vector_bytes = 32;
template <class T>
struct Vector {
  typedef T type __attribute__((vector_size(vector_bytes)));
};

/// Cotangents and taps (numbers of the kernel) whose products are summed at the same time, in registers.
constexpr int64_t outs_at_once = 4, taps_at_once = 5;

/// out[o, k] = Σ_t v_o[t] a_k[t] for the first `outs` rows v and the first `taps` rows a.
template <class T>
PATHKERNEL_INLINE void products(T* out, int64_t pitch, const T* const* v, const T* const* a, int64_t length, int64_t outs, int64_t taps) {
  using Lanes = typename Vector<T>::type;
  constexpr int64_t lanes = vector_bytes / sizeof(T);
  Lanes sums[outs_at_once][taps_at_once] = {};
  for (int64_t t = 0; t < length; t += lanes) {
    Lanes x[outs_at_once], y;
    for (int64_t o = 0; o < outs_at_once; ++o) std::memcpy(&x[o], v[o] + t, vector_bytes);
    for (int64_t k = 0; k < taps_at_once; ++k) {
      std::memcpy(&y, a[k] + t, vector_bytes);
      for (int64_t o = 0; o < outs_at_once; ++o) sums[o][k] += x[o] * y;
    }
  }
  for (int64_t o = 0; o < outs; ++o) {
    for (int64_t k = 0; k < taps; ++k) {
      T sum = 0;
      for (int64_t lane = 0; lane < lanes; ++lane) sum += sums[o][k][lane];
      out[o * pitch + k] = sum;
    }
  }
}

/// One example and group.
struct Planes {
  int64_t C, H, W, outs, oh, ow, top, left;
  int64_t pitch, image;       ///< numbers from row to row and from channel to channel, padding included
  int64_t length;             ///< of a cotangent with its rows that far apart, in whole vectors
  std::vector<int64_t> taps;  ///< where the patches' numbers begin, over channels and kernel
};

template <class T>
PATHKERNEL_INLINE void all_products(T* out, const T* v, const T* a, const Planes& p) {
  const int64_t K = int64_t(p.taps.size());
  for (int64_t o = 0; o < p.outs; o += outs_at_once) {
    for (int64_t k = 0; k < K; k += taps_at_once) {
      const T *some_v[outs_at_once], *some_a[taps_at_once];  // beyond the end the last again
      for (int64_t j = 0; j < outs_at_once; ++j) some_v[j] = v + std::min(o + j, p.outs - 1) * p.length;
      for (int64_t j = 0; j < taps_at_once; ++j) some_a[j] = a + p.taps[size_t(std::min(k + j, K - 1))];
      products(out + o * K + k, K, some_v, some_a, p.length, std::min(outs_at_once, p.outs - o), std::min(taps_at_once, K - k));
    }
  }
}
PATHKERNEL_VECTORISED void run(float* out, const float* v, const float* a, const Planes& p) { all_products(out, v, a, p); }
PATHKERNEL_VECTORISED void run(double* out, const double* v, const double* a, const Planes& p) { all_products(out, v, a, p); }

/// What lies between the rows stays zero.
template <class T>
void spread(T* to, int64_t pitch, const T* from, int64_t rows, int64_t columns) {
  for (int64_t y = 0; y < rows; ++y) std::memcpy(to + y * pitch, from + y * columns, size_t(columns) * sizeof(T));
}

template <class T>
void run_all(Tensor& out, const Tensor& v, const Tensor& a, const Planes& p, int64_t batch) {
  T* to = out.mutable_data_ptr<T>();
  const T *cotangents = v.const_data_ptr<T>(), *images = a.const_data_ptr<T>();
  at::parallel_for(0, batch, std::max<int64_t>(1, batch / at::get_num_threads()), [&](int64_t begin, int64_t end) {
    std::vector<T> plane_v(size_t(p.outs * p.length)), plane_a(size_t(p.C * p.image + vector_bytes));
    for (int64_t i = begin; i < end; ++i) {
      for (int64_t o = 0; o < p.outs; ++o) spread(plane_v.data() + o * p.length, p.pitch, cotangents + (i * p.outs + o) * p.oh * p.ow, p.oh, p.ow);
      for (int64_t c = 0; c < p.C; ++c) spread(plane_a.data() + c * p.image + p.top * p.pitch + p.left, p.pitch, images + (i * p.C + c) * p.H * p.W, p.H, p.W);
      run(to + i * p.outs * int64_t(p.taps.size()), plane_v.data(), plane_a.data(), p);
    }
  });
}

}  // namespace

Tensor convolution_weight_gradients(const Tensor& v, const Tensor& a, const ConvolutionShape& s) {
  const Tensor cotangents = v.contiguous(), inputs = a.contiguous();
  const bool one_by_one = s.kernel[0] * s.kernel[1] == 1;  // already a product of matrices
  if (!plain_loops(cotangents) || !plain_loops(inputs) || s.stride[0] != 1 || s.stride[1] != 1 || one_by_one || v.numel() == 0) return convolution_weight_gradients_by_operations(v, a, s);
  Planes p{a.size(1) / s.groups, a.size(2), a.size(3), v.size(1) / s.groups, v.size(2), v.size(3), s.padding[0], s.padding[1], 0, 0, 0, {}};
  p.pitch = p.W + 2 * p.left;
  p.image = (p.H + 2 * p.top) * p.pitch;
  constexpr int64_t whole = vector_bytes / int64_t(sizeof(float));
  p.length = ((p.oh - 1) * p.pitch + p.ow + whole - 1) / whole * whole;
  for (int64_t c = 0; c < p.C; ++c) {
    for (int64_t y = 0; y < s.kernel[0]; ++y) {
      for (int64_t x = 0; x < s.kernel[1]; ++x) p.taps.push_back(c * p.image + y * s.dilation[0] * p.pitch + x * s.dilation[1]);
    }
  }
  const int64_t n = v.size(0), batch = n * s.groups;  // examples and groups alike
  Tensor out = at::empty({n, v.size(1) * int64_t(p.taps.size())}, inputs.options());
  if (inputs.scalar_type() == at::kFloat) run_all<float>(out, cotangents, inputs, p, batch);
  else run_all<double>(out, cotangents, inputs, p, batch);
  return out;
}

Tensor convolution_weight_gradients_by_operations(const Tensor& v, const Tensor& a, const ConvolutionShape& s) {
  const int64_t n = v.size(0), T = v.size(2) * v.size(3), outs = v.size(1) / s.groups;
  const Tensor patches = at::im2col(a, s.kernel, s.dilation, s.padding, s.stride);  // [n, in·kh·kw, T]
  const Tensor left = v.reshape({n * s.groups, outs, T}), right = patches.reshape({n * s.groups, patches.size(1) / s.groups, T});
  return at::bmm(left, right.transpose(1, 2)).view({n, -1});
}

}  // namespace pathkernel
