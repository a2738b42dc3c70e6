#include <pathkernel/machine/gaussian_process.h>

#include <pathkernel/core/error.h>
#include <pathkernel/core/random.h>

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/ops/randn.h>
#include <fmt/format.h>

#include <cmath>
#include <numbers>

namespace pathkernel {
namespace {

constexpr const char* who = "Gaussian process";

}  // namespace

Tensor GaussianProcess::mean(const Tensor& K_x) const { return query_gram(K_x, alpha.size(0), who).mm(alpha); }

Tensor GaussianProcess::variance(const Tensor& K_x, const Tensor& k_xx) const {
  const Tensor k = query_gram(K_x, alpha.size(0), who);
  return (query_diagonal(k_xx, k.size(0), who) - factor.half_solve(k.t()).square().sum(0)).clamp_min(0);
}

Tensor GaussianProcess::covariance(const Tensor& K_x, const Tensor& K_xx) const {
  const Tensor k = query_gram(K_x, alpha.size(0), who), prior = training_gram(K_xx, who);
  if (prior.size(0) != k.size(0))
    throw InvalidInput(fmt::format("{}: the queries' own Gram matrix is {}, expected [{}, {}]", who, describe(K_xx), k.size(0), k.size(0)));
  const Tensor V = factor.half_solve(k.t()), covariance = prior - V.t().mm(V);
  return (covariance + covariance.t()) / 2;
}

Tensor GaussianProcess::evidence_gradient() const {
  return (alpha.mm(alpha.t()) - factor.inverse() * static_cast<double>(alpha.size(1))) / 2;
}

GaussianProcess fit_gaussian_process(const Tensor& K, const Tensor& y, double noise, const MachineOptions& options) {
  if (!(noise >= 0) || !std::isfinite(noise)) throw InvalidInput(fmt::format("{}: the noise is {}, expected a variance from zero up", who, noise));
  Tensor A = training_gram(K, who).clone();
  const int64_t n = A.size(0);
  require_memory(2, n, options.memory, who);
  const Tensor targets = targets_of(y, n, who);
  A.diagonal() += noise;
  GaussianProcess machine;
  machine.noise = noise;
  machine.factor = cholesky(A, options, who, noise == 0 ? "the Gram matrix (the noise is 0)" : fmt::format("K + {:g}*I", noise));
  machine.alpha = machine.factor.solve(targets);
  const double outputs = static_cast<double>(targets.size(1));
  machine.log_evidence = -0.5 * (targets * machine.alpha).sum().item<double>() -
                         outputs * 0.5 * (machine.factor.log_determinant() + static_cast<double>(n) * std::log(2 * std::numbers::pi));
  return machine;
}

GaussianSamples sample_gaussian(const Tensor& mean, const Tensor& covariance, int64_t count, uint64_t seed, const MachineOptions& options) {
  if (count < 1) throw InvalidInput(fmt::format("{}: {} samples were asked for, expected at least 1", who, count));
  const Tensor C = training_gram(covariance, who);
  const Tensor center = targets_of(mean, C.size(0), who);
  const Cholesky factor = cholesky(C, options, who, "the covariance to draw from");
  at::Generator generator = at::make_generator<at::CPUGeneratorImpl>(stream_seed(seed, Stream::sampling, 0));
  const Tensor z = at::randn({count, center.size(0), center.size(1)}, generator, center.options());
  return {center + factor.L.matmul(z), factor.jitter};
}

}  // namespace pathkernel
