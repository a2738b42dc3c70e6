#include <pathkernel/kernel/random_features.h>

#include <pathkernel/core/error.h>
#include <pathkernel/core/random.h>

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/full_like.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/tril.h>
#include <fmt/format.h>

#include <cmath>
#include <numbers>

namespace pathkernel {
namespace {

at::Generator generator(uint64_t seed) { return at::make_generator<at::CPUGeneratorImpl>(stream_seed(seed, Stream::sampling, 0)); }

Tensor draw(at::IntArrayRef sizes, at::Generator g) { return at::randn(sizes, std::move(g), at::TensorOptions(at::kDouble)); }

void check_counts(int64_t inputs, int64_t directions) {
  if (inputs < 1 || directions < 2)
    throw InvalidInput(fmt::format("random features: {} inputs and {} directions; at least 1 and 2 are needed (one direction has no error bar)",
                                   inputs, directions));
}

/// One map for x + iy in the complex plane, as real features: product over both is cos(w·x − w·y).
Tensor cos_and_sin(const Tensor& u) { return at::cat({u.cos(), u.sin()}, 1); }

}  // namespace

Tensor RandomFeatures::project(const Tensor& x) const {
  if (!x.defined() || x.dim() < 2 || !at::isFloatingType(x.scalar_type()) || x.size(0) == 0 || x.numel() / x.size(0) != directions_.size(1))
    throw InvalidInput(fmt::format("random features: made for {} numbers per example, but x is {}; expected floating point [n, ...]",
                                   directions_.size(1), describe(x)));
  const Tensor u = at::matmul(x.flatten(1), directions_.to(x.options()).t());
  return offsets_.defined() ? u + offsets_.to(x.options()) : u;
}

Tensor RandomFeatures::operator()(const Tensor& x) const { return map_(project(x)) / std::sqrt(static_cast<double>(directions_.size(0))); }

/// Of M independent products p: mean m, and √((mean of p² − m²)/(M − 1)).
RandomFeatures::Estimate RandomFeatures::estimate(const Tensor& x, const Tensor& y) const {
  const double M = static_cast<double>(directions_.size(0));
  const Tensor u = project(x), v = x.is_same(y) ? u : project(y);
  const Tensor mean = at::matmul(map_(u), map_(v).t()) / M, squares = at::matmul(squares_(u), squares_(v).t()) / M;
  return {mean, ((squares - mean.square()).clamp_min(0) / (M - 1)).sqrt()};
}

RandomFeatures::Estimate RandomFeatures::gram(const Tensor& x, const Tensor& y) const { return estimate(x, y); }

RandomFeatures::Estimate RandomFeatures::gram(const Tensor& x) const {
  const auto mirrored = [](const Tensor& t) { return at::tril(t) + at::tril(t, -1).t(); };
  const Estimate e = estimate(x, x);
  return {mirrored(e.gram), mirrored(e.standard_error)};
}

RandomFeatures RandomFeatures::arc_cosine(int64_t order, int64_t inputs, int64_t directions, uint64_t seed) {
  check_counts(inputs, directions);
  const DualPtr phi = rectified_monomial(order);
  const auto map = [phi](const Tensor& u) { return phi->apply(u) * std::numbers::sqrt2; };
  return {draw({directions, inputs}, generator(seed)), Tensor(), map, [map](const Tensor& u) { return map(u).square(); }, 1};
}

RandomFeatures RandomFeatures::gaussian(DualPtr phi, int64_t inputs, int64_t directions, double W_std, std::optional<double> b_std, uint64_t seed) {
  check_counts(inputs, directions);
  at::Generator g = generator(seed);
  const Tensor W = draw({directions, inputs}, g) * (W_std / std::sqrt(static_cast<double>(inputs)));
  const Tensor b = b_std ? draw({directions}, g) * *b_std : Tensor();
  return {W, b, [phi](const Tensor& u) { return phi->apply(u); }, [phi](const Tensor& u) { return phi->apply(u).square(); }, 1};
}

RandomFeatures RandomFeatures::fourier(const Tensor& lengthscale, int64_t inputs, int64_t directions, std::optional<double> nu, uint64_t seed) {
  check_counts(inputs, directions);
  if (!lengthscale.defined() || lengthscale.dim() > 1 || (lengthscale.dim() == 1 && lengthscale.size(0) != inputs) || !(lengthscale.min().item<double>() > 0))
    throw InvalidInput(fmt::format("random features: lengthscale is {}; expected numbers above zero, one or one for each of {} inputs",
                                   describe(lengthscale), inputs));
  at::Generator g = generator(seed);
  Tensor W = draw({directions, inputs}, g) / lengthscale.to(at::kDouble);
  if (nu) {
    const double freedom = 2 * *nu;
    if (freedom != std::floor(freedom) || freedom < 1) throw InvalidInput(fmt::format("random features: nu is {}, expected 0.5, 1, 1.5, 2, …", *nu));
    const Tensor chi_square = draw({directions, static_cast<int64_t>(freedom)}, g).square().sum(1, /*keepdim=*/true);
    W = W / (chi_square / freedom).sqrt();
  }
  // cos² = (1 + cos 2·)/2: the squares' map has a constant and the doubled angle.
  const auto squares = [](const Tensor& u) {
    const Tensor twice = cos_and_sin(u * 2);
    return at::cat({twice, at::full_like(u, 1)}, 1) * std::sqrt(0.5);
  };
  return {W, Tensor(), cos_and_sin, squares, 2};
}

}  // namespace pathkernel
