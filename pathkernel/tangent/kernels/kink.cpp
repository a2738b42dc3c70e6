#include <pathkernel/tangent/kernels/kink.h>

#include <ATen/Parallel.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros_like.h>
#include <pathkernel/tangent/kernels/vectorised.h>

namespace pathkernel {
namespace {

template <class T>
PATHKERNEL_INLINE void kinks(T* out, const T* v, const T* x0, const T* x1, T above, T below, int64_t n) {
  for (int64_t k = 0; k < n; ++k) {
    const T a = x0[k], b = x1[k];
    const T high = b > 0 ? b : T(0), low = a > 0 ? a : T(0);
    const bool crossing = (a > 0) != (b > 0);
    const T share = crossing ? (high - low) / (crossing ? b - a : T(1)) : (a > 0 ? T(1) : T(0));
    out[k] = v[k] * (share * (above - below) + below);
  }
}
PATHKERNEL_VECTORISED void run(float* o, const float* v, const float* x, const float* y, float a, float b, int64_t n) { kinks(o, v, x, y, a, b, n); }
PATHKERNEL_VECTORISED void run(double* o, const double* v, const double* x, const double* y, double a, double b, int64_t n) { kinks(o, v, x, y, a, b, n); }

template <class T>
void all_kinks(Tensor& out, const Tensor& v, const Tensor& x0, const Tensor& x1, double above, double below) {
  T* o = out.mutable_data_ptr<T>();
  const T *c = v.const_data_ptr<T>(), *a = x0.const_data_ptr<T>(), *b = x1.const_data_ptr<T>();
  at::parallel_for(0, out.numel(), 32768, [&](int64_t begin, int64_t end) { run(o + begin, c + begin, a + begin, b + begin, T(above), T(below), end - begin); });
}

template <class T>
void all_winners(Tensor& out, const Tensor& x0, const Tensor& x1, const Tensor& i, const Tensor& j, const Tensor& v) {
  const int64_t S = x0.size(-1), R = v.size(-1), lines = v.numel() / std::max<int64_t>(1, R);
  T* o = out.mutable_data_ptr<T>();
  const T *a = x0.const_data_ptr<T>(), *b = x1.const_data_ptr<T>(), *c = v.const_data_ptr<T>();
  const int64_t *I = i.const_data_ptr<int64_t>(), *J = j.const_data_ptr<int64_t>();
  at::parallel_for(0, lines, 64, [&](int64_t begin, int64_t end) {
    for (int64_t line = begin; line < end; ++line) {
      const T *x = a + line * S, *y = b + line * S;
      T* to = o + line * S;
      for (int64_t r = line * R; r < (line + 1) * R; ++r) {
        const int64_t first = I[r], second = J[r];
        if (first == second) {
          to[first] += c[r];
          continue;
        }
        const T p = x[first] - x[second], q = y[second] - y[first];
        const T u = p + q > 0 ? p / (p + q) : T(0.5);
        to[first] += u * c[r];
        to[second] += (1 - u) * c[r];
      }
    }
  });
}

}  // namespace

Tensor kinked_product(const Tensor& v, const Tensor& x0, const Tensor& x1, double above, double below) {
  if (!plain_loops(x0) || !plain_loops(x1) || x0.sizes() != v.sizes() || v.scalar_type() != x0.scalar_type()) return kinked_product_by_operations(v, x0, x1, above, below);
  const Tensor cotangent = v.contiguous();
  Tensor out = at::empty_like(cotangent);
  if (x0.scalar_type() == at::kFloat) all_kinks<float>(out, cotangent, x0, x1, above, below);
  else all_kinks<double>(out, cotangent, x0, x1, above, below);
  return out;
}

Tensor kinked_product_by_operations(const Tensor& v, const Tensor& x0, const Tensor& x1, double above, double below) {
  const Tensor positive0 = x0 > 0, crossing = positive0.ne(x1 > 0);
  const Tensor share = at::where(crossing, (x1.clamp_min(0) - x0.clamp_min(0)) / at::where(crossing, x1 - x0, 1), positive0.to(x0.scalar_type()));
  return v * (share * (above - below) + below);
}

Tensor give_to_winners(const Tensor& x0, const Tensor& x1, const Tensor& i, const Tensor& j, const Tensor& v) {
  if (!plain_loops(x0) || !plain_loops(x1) || !i.is_contiguous() || !j.is_contiguous()) return give_to_winners_by_operations(x0, x1, i, j, v);
  Tensor out = at::zeros_like(x0);
  if (x0.scalar_type() == at::kFloat) all_winners<float>(out, x0, x1, i, j, v.contiguous());
  else all_winners<double>(out, x0, x1, i, j, v.contiguous());
  return out;
}

Tensor give_to_winners_by_operations(const Tensor& x0, const Tensor& x1, const Tensor& i, const Tensor& j, const Tensor& v) {
  Tensor out = at::zeros_like(x0);
  const Tensor p = x0.gather(-1, i) - x0.gather(-1, j), q = x1.gather(-1, j) - x1.gather(-1, i);
  const Tensor total = p + q, moved = total > 0;
  const Tensor u = at::where(moved, p / at::where(moved, total, 1), at::where(i.eq(j), 1.0, 0.5).to(v.scalar_type()));
  out.scatter_add_(-1, i, v * u);
  return out.scatter_add_(-1, j, v * (1 - u));
}

}  // namespace pathkernel
