#include <pathkernel/tangent/kernels/patches.h>

#include <ATen/Parallel.h>
#include <ATen/ops/bmm.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/im2col.h>
#include <pathkernel/tangent/kernels/vectorised.h>

#include <algorithm>
#include <cstring>

namespace pathkernel {
namespace {

struct Geometry {
  int64_t C, H, W, kh, kw, oh, ow, sh, sw, ph, pw, dh, dw;
};

/// Patches of one example's channels first … first+C−1 as rows: [C·kh·kw, oh·ow].
template <class T>
void lay_out(T* rows, const T* a, const Geometry& g) {
  for (int64_t c = 0; c < g.C; ++c) {
    for (int64_t ky = 0; ky < g.kh; ++ky) {
      for (int64_t kx = 0; kx < g.kw; ++kx, rows += g.oh * g.ow) {
        for (int64_t y = 0; y < g.oh; ++y) {
          T* out = rows + y * g.ow;
          const int64_t iy = y * g.sh - g.ph + ky * g.dh;
          if (iy < 0 || iy >= g.H) {
            std::fill(out, out + g.ow, T(0));
            continue;
          }
          const T* in = a + (c * g.H + iy) * g.W;
          const int64_t shift = kx * g.dw - g.pw;
          if (g.sw == 1) {  // one stretch of the row, zeros where it is padded
            const int64_t from = std::clamp<int64_t>(-shift, 0, g.ow), to = std::clamp<int64_t>(g.W - shift, from, g.ow);
            std::fill(out, out + from, T(0));
            std::memcpy(out + from, in + shift + from, size_t(to - from) * sizeof(T));
            std::fill(out + to, out + g.ow, T(0));
          } else {
            for (int64_t x = 0; x < g.ow; ++x) {
              const int64_t ix = x * g.sw + shift;
              out[x] = ix >= 0 && ix < g.W ? in[ix] : T(0);
            }
          }
        }
      }
    }
  }
}

template <class T>
void lay_out_all(Tensor& rows, const Tensor& a, const Geometry& g) {
  T* out = rows.mutable_data_ptr<T>();
  const T* in = a.const_data_ptr<T>();
  for (int64_t i = 0; i < rows.size(0); ++i) lay_out(out + i * rows.size(1) * rows.size(2), in + i * g.C * g.H * g.W, g);
}

/// Numbers of patches laid out at a time: about what a core keeps near.
constexpr int64_t block_numbers = 1 << 18;

}  // namespace

Tensor convolution_weight_gradients(const Tensor& v, const Tensor& a, const ConvolutionShape& s) {
  const Tensor cotangents = v.contiguous(), inputs = a.contiguous();
  if (!plain_loops(cotangents) || !plain_loops(inputs)) return convolution_weight_gradients_by_operations(v, a, s);
  const Geometry g{a.size(1) / s.groups, a.size(2), a.size(3), s.kernel[0], s.kernel[1], v.size(2), v.size(3), s.stride[0], s.stride[1], s.padding[0], s.padding[1], s.dilation[0], s.dilation[1]};
  // Examples and groups alike are rows of one batch of products.
  const int64_t n = v.size(0), batch = n * s.groups, outs = v.size(1) / s.groups, K = g.C * g.kh * g.kw, P = g.oh * g.ow;
  const Tensor left = cotangents.view({batch, outs, P}), images = inputs.view({batch, g.C, g.H, g.W});
  Tensor out = at::empty({batch, outs, K}, inputs.options());
  const int64_t block = std::clamp<int64_t>(block_numbers / std::max<int64_t>(1, K * P), 1, batch);
  at::parallel_for(0, batch, std::max<int64_t>(1, batch / at::get_num_threads()), [&](int64_t begin, int64_t end) {
    Tensor rows = at::empty({std::min(block, end - begin), K, P}, inputs.options());
    for (int64_t first = begin; first < end; first += block) {
      const int64_t count = std::min(block, end - first);
      Tensor some = rows.narrow(0, 0, count);
      if (inputs.scalar_type() == at::kFloat) lay_out_all<float>(some, images.narrow(0, first, count), g);
      else lay_out_all<double>(some, images.narrow(0, first, count), g);
      Tensor to = out.narrow(0, first, count);
      at::bmm_out(to, left.narrow(0, first, count), some.transpose(1, 2));
    }
  });
  return out.view({n, -1});
}

Tensor convolution_weight_gradients_by_operations(const Tensor& v, const Tensor& a, const ConvolutionShape& s) {
  const int64_t n = v.size(0), T = v.size(2) * v.size(3), outs = v.size(1) / s.groups;
  const Tensor patches = at::im2col(a, s.kernel, s.dilation, s.padding, s.stride);  // [n, in·kh·kw, T]
  const Tensor left = v.reshape({n * s.groups, outs, T}), right = patches.reshape({n * s.groups, patches.size(1) / s.groups, T});
  return at::bmm(left, right.transpose(1, 2)).view({n, -1});
}

}  // namespace pathkernel
