#include <pathkernel/sweep/kernels/rounding.h>

#include <ATen/Parallel.h>
#include <ATen/ops/zeros_like.h>
#include <pathkernel/tangent/kernels/vectorised.h>

#include <algorithm>
#include <bit>
#include <limits>
#include <mutex>

namespace pathkernel {
namespace {

constexpr int64_t block = 512;  // numbers worked on at a time: what a loop leaves, the next finds near

/// A coefficient as the loops take it.
template <class P>
struct Factor64 {
  double number;
  const P* diagonal;
  explicit Factor64(const Coefficient& c) : number(c.number), diagonal(c.is_diagonal() ? c.diagonal.const_data_ptr<P>() : nullptr) {}
};

/// out[i] += sign·c∘x
template <class P>
PATHKERNEL_INLINE void add_times(double* out, const Factor64<P>& c, int64_t first, const double* x, double sign, int64_t n) {
  if (c.diagonal != nullptr) for (int64_t i = 0; i < n; ++i) out[i] += sign * double(c.diagonal[first + i]) * x[i];
  else if (c.number != 0) for (int64_t i = 0; i < n; ++i) out[i] += sign * c.number * x[i];
}

/// The larger one; NaN is larger than all.
PATHKERNEL_INLINE double larger(double a, double b) { return a > b || a != a ? a : b; }

/// The bits of positive numbers are ordered as the numbers are, NaN above all; a maximum of integers is vectorised.
PATHKERNEL_INLINE double largest(const double* x, int64_t n) {
  int64_t most = 0;
  for (int64_t i = 0; i < n; ++i) {
    const int64_t bits = std::bit_cast<int64_t>(x[i]) & std::numeric_limits<int64_t>::max();
    most = bits > most ? bits : most;
  }
  return std::bit_cast<double>(most);
}

template <class T, class P>
struct Pointers {
  const T *w0, *w1, *m0, *m1;
  const P* u;
  double* exact;
  P* rho;
};

template <class T, class P>
PATHKERNEL_INLINE void one_block(const LinearForm& f, const Factor64<P>& N, const Factor64<P>& D, const Factor64<P>& E, const Pointers<T, P>& p, int64_t first, int64_t n, StepSizes& sizes) {
  double w[block], u[block], expected[block] = {}, m[block] = {}, local[block] = {}, off[block], rho[block];
  for (int64_t i = 0; i < n; ++i) w[i] = double(p.w0[first + i]);
  for (int64_t i = 0; i < n; ++i) u[i] = double(p.u[first + i]) + f.omega_c * w[i];
  add_times(expected, E, first, u, -1, n);
  if (p.exact != nullptr) {
    add_times(m, N, first, u, 1, n);  // N∘u
    for (int64_t i = 0; i < n; ++i) off[i] = double(p.m1[first + i]) - f.mu * double(p.m0[first + i]) - m[i];
    sizes.memory_rounding = larger(largest(off, n), sizes.memory_rounding);
    for (int64_t i = 0; i < n; ++i) p.exact[first + i] = m[i] = f.mu * p.exact[first + i] + m[i];
    sizes.memory = larger(largest(m, n), sizes.memory);
    add_times(expected, D, first, m, -1, n);
    for (int64_t i = 0; i < n; ++i) m[i] = double(p.m1[first + i]) - m[i];
    add_times(local, D, first, m, 1, n);
  }
  for (int64_t i = 0; i < n; ++i) expected[i] -= f.eta_omega_d * w[i];
  for (int64_t i = 0; i < n; ++i) rho[i] = double(p.w1[first + i]) - w[i] - expected[i];
  for (int64_t i = 0; i < n; ++i) p.rho[first + i] = P(rho[i]);
  for (int64_t i = 0; i < n; ++i) local[i] += rho[i];
  sizes.rounding = larger(largest(local, n), sizes.rounding);
  sizes.weights = larger(largest(w, n), sizes.weights);
  sizes.expected = larger(largest(expected, n), sizes.expected);
}

PATHKERNEL_VECTORISED void do_block(const LinearForm& f, const Factor64<float>& N, const Factor64<float>& D, const Factor64<float>& E, const Pointers<float, float>& p, int64_t a, int64_t n, StepSizes& s) { one_block(f, N, D, E, p, a, n, s); }
PATHKERNEL_VECTORISED void do_block(const LinearForm& f, const Factor64<double>& N, const Factor64<double>& D, const Factor64<double>& E, const Pointers<float, double>& p, int64_t a, int64_t n, StepSizes& s) { one_block(f, N, D, E, p, a, n, s); }
PATHKERNEL_VECTORISED void do_block(const LinearForm& f, const Factor64<double>& N, const Factor64<double>& D, const Factor64<double>& E, const Pointers<double, double>& p, int64_t a, int64_t n, StepSizes& s) { one_block(f, N, D, E, p, a, n, s); }

void join(StepSizes& all, const StepSizes& some) {
  for (double StepSizes::*size : {&StepSizes::rounding, &StepSizes::weights, &StepSizes::expected, &StepSizes::memory_rounding, &StepSizes::memory})
    all.*size = larger(some.*size, all.*size);
}

template <class T, class P>
StepSizes all_blocks(const LinearForm& form, const StepNumbers& x, Tensor& exact, Tensor& rho) {
  const Factor64<P> N(form.N), D(form.D), E(form.E);
  const bool remembers = exact.defined();
  const Pointers<T, P> p{x.w0.const_data_ptr<T>(), x.w1.const_data_ptr<T>(), remembers ? x.m0.const_data_ptr<T>() : nullptr, remembers ? x.m1.const_data_ptr<T>() : nullptr,
                         x.u.const_data_ptr<P>(), remembers ? exact.mutable_data_ptr<double>() : nullptr, rho.mutable_data_ptr<P>()};
  const int64_t W = x.w0.numel();
  StepSizes all;
  std::mutex joining;
  at::parallel_for(0, (W + block - 1) / block, 64, [&](int64_t begin, int64_t end) {
    StepSizes mine;
    for (int64_t b = begin; b < end; ++b) do_block(form, N, D, E, p, b * block, std::min(block, W - b * block), mine);
    const std::lock_guard lock(joining);
    join(all, mine);
  });
  return all;
}

double largest_of(const Tensor& t) { return t.numel() == 0 ? 0 : t.abs().max().item<double>(); }

template <class A, class B>
PATHKERNEL_INLINE void difference_loop(const A* a, const B* b, int64_t n, Difference& d) {
  for (int64_t first = 0; first < n; first += block) {
    const int64_t count = std::min(block, n - first);
    double x[block], y[block], off[block];
    for (int64_t i = 0; i < count; ++i) x[i] = double(a[first + i]), y[i] = double(b[first + i]), off[i] = x[i] - y[i];
    d = {larger(largest(off, count), d.off), larger(largest(x, count), d.of_a), larger(largest(y, count), d.of_b)};
  }
}
PATHKERNEL_VECTORISED void differences(const float* a, const float* b, int64_t n, Difference& d) { difference_loop(a, b, n, d); }
PATHKERNEL_VECTORISED void differences(const double* a, const float* b, int64_t n, Difference& d) { difference_loop(a, b, n, d); }
PATHKERNEL_VECTORISED void differences(const double* a, const double* b, int64_t n, Difference& d) { difference_loop(a, b, n, d); }

}  // namespace

StepSizes step_rounding(const LinearForm& form, const StepNumbers& x, Tensor& exact, Tensor& rho) {
  const bool plain = !form.S.defined() && plain_loops(x.w0) && plain_loops(x.w1) && plain_loops(x.u) && plain_loops(rho) && x.u.scalar_type() == rho.scalar_type() &&
                     (!exact.defined() || (plain_loops(x.m0) && plain_loops(x.m1)));
  if (!plain) return step_rounding_by_operations(form, x, exact, rho);
  if (rho.scalar_type() == at::kFloat) return all_blocks<float, float>(form, x, exact, rho);
  if (x.w0.scalar_type() == at::kFloat) return all_blocks<float, double>(form, x, exact, rho);
  return all_blocks<double, double>(form, x, exact, rho);
}

StepSizes step_rounding_by_operations(const LinearForm& form, const StepNumbers& x, Tensor& exact, Tensor& rho) {
  const auto f64 = [](const Tensor& t) { return t.to(at::kDouble); };
  const auto times = [&](const Coefficient& c, const Tensor& t) { return c.is_diagonal() ? f64(c.diagonal) * t : t * c.number; };
  const Tensor w = f64(x.w0), u = f64(x.u) + w * form.omega_c;
  const SideMatrix S{form.S.defined() ? f64(form.S.S) : Tensor(), form.S.from_right};
  const auto shaped = [&](const Tensor& t) { return S.defined() ? S.times(t) : t; };
  Tensor moved = times(form.E, u);  // E∘u + D∘m̂
  StepSizes sizes;
  if (exact.defined()) {
    const Tensor pushed = times(form.N, u);
    sizes.memory_rounding = largest_of(f64(x.m1) - f64(x.m0) * form.mu - pushed);
    exact.mul_(form.mu).add_(pushed);
    sizes.memory = largest_of(exact);
    moved = moved + times(form.D, exact);
  }
  const Tensor expected = -shaped(moved) - w * form.eta_omega_d, exact_rho = f64(x.w1) - w - expected;
  rho.copy_(exact_rho);
  Tensor own = exact.defined() ? exact_rho + shaped(times(form.D, f64(x.m1) - exact)) : exact_rho;
  if (form.beyond.defined()) own = own + form.beyond;
  sizes.rounding = largest_of(own);
  sizes.weights = largest_of(w);
  sizes.expected = largest_of(expected);
  return sizes;
}

Difference largest_difference(const Tensor& a, const Tensor& b) {
  Difference d;
  if (plain_loops(a) && plain_loops(b) && (a.scalar_type() == at::kDouble || b.scalar_type() == at::kFloat)) {
    const int64_t n = a.numel();
    if (b.scalar_type() == at::kDouble) differences(a.const_data_ptr<double>(), b.const_data_ptr<double>(), n, d);
    else if (a.scalar_type() == at::kDouble) differences(a.const_data_ptr<double>(), b.const_data_ptr<float>(), n, d);
    else differences(a.const_data_ptr<float>(), b.const_data_ptr<float>(), n, d);
    return d;
  }
  const Tensor x = a.to(at::kDouble), y = b.to(at::kDouble);
  return {largest_of(x - y), largest_of(x), largest_of(y)};
}

}  // namespace pathkernel
