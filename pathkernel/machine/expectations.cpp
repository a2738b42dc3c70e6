#include <pathkernel/machine/expectations.h>

#include <pathkernel/core/error.h>
#include <pathkernel/core/random.h>

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/special_ndtr.h>
#include <ATen/ops/where.h>
#include <fmt/format.h>

#include <cmath>

namespace pathkernel {

namespace {

/// Σ_j w(t_j) g(t_j)/Σ_j w(t_j), t_j = jh for |j| ≤ half.
template <class Weight, class Values>
Tensor weighted_mean(double h, int64_t half, const Weight& w, const Values& g) {
  Tensor sum;
  double total = 0;
  for (int64_t j = -half; j <= half; ++j) {
    const double t = static_cast<double>(j) * h, weight = w(t);
    const Tensor term = weight * g(t);
    sum = sum.defined() ? sum.add_(term) : term;
    total += weight;
  }
  return sum / total;
}

}  // namespace

Tensor expected_sigmoid(const Tensor& mean, const Tensor& variance) {
  constexpr double wide = 10;
  const Tensor deviation = variance.sqrt(), small = deviation.clamp_max(wide), large = deviation.clamp_min(wide);
  const Tensor over_z = weighted_mean(0.05, 180, [](double z) { return std::exp(-z * z / 2); }, [&](double z) { return at::sigmoid(mean + small * z); });
  if ((deviation <= wide).all().item<bool>()) return over_z;
  const Tensor over_u = weighted_mean(0.4, 100, [](double u) { return 1 / std::pow(std::cosh(u / 2), 2); }, [&](double u) { return at::special_ndtr((mean - u) / large); });
  return at::where(deviation > wide, over_u, over_z);
}

EstimatedProbabilities expected_softmax(const Tensor& mean, const Tensor& covariance, int64_t draws, uint64_t seed) {
  constexpr const char* who = "Laplace classification";
  if (draws < 4) throw InvalidInput(fmt::format("{}: {} draws; an estimate with an error needs at least 4", who, draws));
  const int64_t m = mean.size(0), C = mean.size(1), pairs = draws / 2;
  at::Generator generator = at::make_generator<at::CPUGeneratorImpl>(stream_seed(seed, Stream::sampling, 2));
  const Tensor z = at::randn({pairs, C}, generator, mean.options());
  EstimatedProbabilities result{at::empty({m, C}, mean.options()), at::empty({m, C}, mean.options())};
  for (int64_t q = 0; q < m; ++q) {
    const EigenDecomposition e = eigen_decomposition(covariance[q], who);
    const Tensor moved = z.mm((e.vectors * e.values.sqrt()).t());
    const Tensor p = (at::softmax(mean[q] + moved, 1) + at::softmax(mean[q] - moved, 1)) / 2;  // of a pair z, −z
    result.mean[q].copy_(p.mean(0));
    result.standard_error[q].copy_(((p - p.mean(0)).square().sum(0) / static_cast<double>(pairs * (pairs - 1))).sqrt());
  }
  return result;
}

}  // namespace pathkernel
