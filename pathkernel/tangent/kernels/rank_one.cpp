#include <pathkernel/tangent/kernels/rank_one.h>

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <pathkernel/tangent/kernels/vectorised.h>

namespace pathkernel {
namespace {

/// One row without `along`.
template <class T>
PATHKERNEL_INLINE void plain_row(T* dense, T beta, const T* right, T factor, const T* diagonal, int64_t n) {
  if (diagonal != nullptr) for (int64_t i = 0; i < n; ++i) dense[i] = beta * dense[i] + factor * diagonal[i] * right[i];
  else for (int64_t i = 0; i < n; ++i) dense[i] = beta * dense[i] + factor * right[i];
}

/// One row; returns its product with `along`. Sums side by side, so that the loop is vectorised without reordering; the choice of a
/// diagonal is made outside of it.
template <bool with_diagonal, class T>
PATHKERNEL_INLINE T row_along(T* dense, T beta, const T* right, T factor, const T* diagonal, const T* along, int64_t n) {
  constexpr int64_t lanes = 32;
  T sums[lanes] = {};
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    for (int64_t k = 0; k < lanes; ++k) {
      T push = factor * right[i + k];
      if constexpr (with_diagonal) push *= diagonal[i + k];
      const T value = beta * dense[i + k] + push;
      dense[i + k] = value;
      sums[k] += value * along[i + k];
    }
  }
  for (; i < n; ++i) {
    dense[i] = beta * dense[i] + factor * right[i] * (with_diagonal ? diagonal[i] : T(1));
    sums[0] += dense[i] * along[i];
  }
  T sum = 0;
  for (const T part : sums) sum += part;
  return sum;
}

template <class T>
PATHKERNEL_INLINE T row_rank_one(T* dense, T beta, const T* right, T factor, const T* diagonal, const T* along, int64_t n) {
  if (along == nullptr) {
    plain_row(dense, beta, right, factor, diagonal, n);
    return 0;
  }
  if (diagonal != nullptr) return row_along<true>(dense, beta, right, factor, diagonal, along, n);
  return row_along<false>(dense, beta, right, factor, diagonal, along, n);
}

template <class T>
PATHKERNEL_INLINE void row_products(T* out, const T* a, const T* b, int64_t K, int64_t R) {
  // Sums of sums of sixteen: one sum after the other would round K times, which float32 feels where the terms cancel.
  constexpr int64_t columns = 256, together = 16;
  for (int64_t first = 0; first < R; first += columns) {
    const int64_t count = std::min(columns, R - first);
    T* const sums = out + first;
    for (int64_t r = 0; r < count; ++r) sums[r] = 0;
    for (int64_t block = 0; block < K; block += together) {
      T part[columns];
      for (int64_t r = 0; r < count; ++r) part[r] = 0;
      for (int64_t k = block; k < std::min(K, block + together); ++k) {
        const T *const x = a + k * R + first, *const y = b + k * R + first;
        for (int64_t r = 0; r < count; ++r) part[r] += x[r] * y[r];
      }
      for (int64_t r = 0; r < count; ++r) sums[r] += part[r];
    }
  }
}

PATHKERNEL_VECTORISED float rank_one(float* d, float b, const float* r, float f, const float* g, const float* a, int64_t n) {
  return row_rank_one(d, b, r, f, g, a, n);
}
PATHKERNEL_VECTORISED double rank_one(double* d, double b, const double* r, double f, const double* g, const double* a, int64_t n) {
  return row_rank_one(d, b, r, f, g, a, n);
}

/// One row of the pass with decay.
template <class T>
PATHKERNEL_INLINE T row_decay(T* p, T* q, const T* right, T left, const T* diagonal, const T* along, T beta, T keep, T push, T pull, int64_t n) {
  constexpr int64_t lanes = 32;
  T sums[lanes] = {};
  for (int64_t start = 0; start < n; start += lanes) {
    const int64_t count = n - start < lanes ? n - start : lanes;
    for (int64_t k = 0; k < count; ++k) {
      const int64_t i = start + k;
      const T g = left * right[i], old = q[i], value = beta * p[i] - diagonal[i] * (g + old);
      sums[k] += old * along[i];
      p[i] = value;
      q[i] = keep * old + push * g + pull * value;
    }
  }
  T sum = 0;
  for (const T part : sums) sum += part;
  return sum;
}

PATHKERNEL_VECTORISED float decay(float* p, float* q, const float* r, float l, const float* d, const float* v, float b, float keep,
                                  float push, float pull, int64_t n) {
  return row_decay(p, q, r, l, d, v, b, keep, push, pull, n);
}
PATHKERNEL_VECTORISED double decay(double* p, double* q, const double* r, double l, const double* d, const double* v, double b, double keep,
                                   double push, double pull, int64_t n) {
  return row_decay(p, q, r, l, d, v, b, keep, push, pull, n);
}

PATHKERNEL_VECTORISED void products(float* o, const float* a, const float* b, int64_t K, int64_t R) { row_products(o, a, b, K, R); }
PATHKERNEL_VECTORISED void products(double* o, const double* a, const double* b, int64_t K, int64_t R) { row_products(o, a, b, K, R); }

template <class T>
void rank_one_all(Tensor& dense, double beta, const Tensor& left, const Tensor& right, double scale, const Tensor& diagonal,
                  const Tensor& along, Tensor& dots) {
  const int64_t n = left.size(0), out = left.size(1), in = right.size(1);
  T* d = dense.mutable_data_ptr<T>();
  T* sums = dots.defined() ? dots.mutable_data_ptr<T>() : nullptr;
  const T *l = left.const_data_ptr<T>(), *r = right.const_data_ptr<T>(), *g = diagonal.defined() ? diagonal.const_data_ptr<T>() : nullptr;
  const T* v = along.defined() ? along.const_data_ptr<T>() : nullptr;
  at::parallel_for(0, n * out, std::max<int64_t>(1, 16384 / std::max<int64_t>(1, in)), [&](int64_t begin, int64_t end) {
    for (int64_t k = begin; k < end; ++k) {
      const int64_t row = (k % out) * in;
      const T dot = rank_one(d + k * in, T(beta), r + (k / out) * in, T(scale) * l[k], g == nullptr ? nullptr : g + row,
                             v == nullptr ? nullptr : v + row, in);
      if (sums != nullptr) sums[k] = dot;
    }
  });
}

template <class T>
void decay_all(Tensor& p, Tensor& q, const Tensor& left, const Tensor& right, const DecayPass& pass, const Tensor& diagonal, Tensor& dots) {
  const int64_t n = left.size(0), out = left.size(1), in = right.size(1);
  T *x = p.mutable_data_ptr<T>(), *y = q.mutable_data_ptr<T>(), *sums = dots.mutable_data_ptr<T>();
  const T *l = left.const_data_ptr<T>(), *r = right.const_data_ptr<T>(), *d = diagonal.const_data_ptr<T>();
  const T* v = pass.along.const_data_ptr<T>();
  at::parallel_for(0, n * out, std::max<int64_t>(1, 16384 / std::max<int64_t>(1, in)), [&](int64_t begin, int64_t end) {
    for (int64_t k = begin; k < end; ++k) {
      const int64_t row = (k % out) * in;
      sums[k] = decay(x + k * in, y + k * in, r + (k / out) * in, l[k], d + row, v + row, T(pass.beta), T(pass.keep), T(pass.push), T(pass.pull), in);
    }
  });
}

template <class T>
void products_all(Tensor& result, const Tensor& a, const Tensor& b) {
  const int64_t m = a.size(0), K = a.size(1), R = a.size(2);
  T* o = result.mutable_data_ptr<T>();
  const T *x = a.const_data_ptr<T>(), *y = b.const_data_ptr<T>();
  at::parallel_for(0, m, 1, [&](int64_t begin, int64_t end) {
    for (int64_t q = begin; q < end; ++q) products(o + q * R, x + q * K * R, y, K, R);
  });
}

}  // namespace

Tensor add_rank_one(Tensor& dense, double beta, const Tensor& left, const Tensor& right, double scale, const Tensor& diagonal, const Tensor& along) {
  const int64_t n = left.size(0), out = left.size(1), in = right.size(1);
  if (plain_loops(dense)) {
    const Tensor l = left.contiguous(), r = right.contiguous();
    const Tensor g = diagonal.defined() ? diagonal.contiguous() : diagonal, v = along.defined() ? along.contiguous() : along;
    Tensor dots = along.defined() ? at::empty({n, out}, dense.options()) : Tensor();
    if (dense.scalar_type() == at::kFloat) rank_one_all<float>(dense, beta, l, r, scale, g, v, dots);
    else rank_one_all<double>(dense, beta, l, r, scale, g, v, dots);
    return dots.defined() ? dots.sum(1) : Tensor();
  }
  Tensor product = left.unsqueeze(2) * right.unsqueeze(1);
  if (diagonal.defined()) product.mul_(diagonal.view({1, out, in}));
  dense.mul_(beta).add_(product.view({n, out * in}), scale);
  return along.defined() ? dense.matmul(along) : Tensor();
}

Tensor add_scaled(Tensor& dense, double beta, const Tensor& values, double scale, const Tensor& diagonal, const Tensor& along) {
  // `values` as the right side of a product with one row each
  const Tensor ones = at::empty({values.size(0), 1}, values.options()).fill_(1);
  return add_rank_one(dense, beta, ones, values, scale, diagonal, along);
}

Tensor add_rank_one_with_decay(Tensor& p, Tensor& q, const Tensor& left, const Tensor& right, const DecayPass& pass) {
  const int64_t n = left.size(0), out = left.size(1), W = out * right.size(1);
  const Tensor diagonal = pass.diagonal.defined() ? pass.diagonal.contiguous() : at::empty({W}, p.options()).fill_(pass.d);
  if (plain_loops(p) && plain_loops(q)) {
    Tensor dots = at::empty({n, out}, p.options());
    const Tensor l = left.contiguous(), r = right.contiguous();
    if (p.scalar_type() == at::kFloat) decay_all<float>(p, q, l, r, pass, diagonal, dots);
    else decay_all<double>(p, q, l, r, pass, diagonal, dots);
    return dots.sum(1);
  }
  const Tensor g = (left.unsqueeze(2) * right.unsqueeze(1)).view({n, W});
  p.mul_(pass.beta).sub_((g + q) * diagonal);
  const Tensor dots = q.matmul(pass.along);
  q.mul_(pass.keep).add_(g, pass.push).add_(p, pass.pull);
  return dots;
}

Tensor sum_of_products(const Tensor& a, const Tensor& b) {
  if (!plain_loops(a)) return (a * b.unsqueeze(0)).sum(1);
  const Tensor right = b.contiguous();
  Tensor out = at::empty({a.size(0), a.size(2)}, a.options());
  if (a.scalar_type() == at::kFloat) products_all<float>(out, a, right);
  else products_all<double>(out, a, right);
  return out;
}

}  // namespace pathkernel
