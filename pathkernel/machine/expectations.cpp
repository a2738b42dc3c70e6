#include <pathkernel/machine/expectations.h>

#include <pathkernel/core/error.h>
#include <pathkernel/core/random.h>

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/zeros_like.h>
#include <fmt/format.h>

#include <cmath>

namespace pathkernel {

Tensor expected_sigmoid(const Tensor& mean, const Tensor& variance) {
  const Tensor deviation = variance.sqrt();
  const double step = std::min(0.05, 0.8 / std::max(1e-9, deviation.max().item<double>()));  // poles of σ lie π off the real line
  const auto half = static_cast<int64_t>(std::ceil(9 / step));
  Tensor sum = at::zeros_like(mean);
  double total = 0;
  for (int64_t j = -half; j <= half; ++j) {
    const double z = static_cast<double>(j) * step, weight = std::exp(-z * z / 2);
    sum += weight * at::sigmoid(mean + deviation * z);
    total += weight;
  }
  return sum / total;
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
