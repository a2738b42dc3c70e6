#include <pathkernel/machine/dynamics.h>

#include <pathkernel/core/error.h>

#include <ATen/ops/expm1.h>
#include <ATen/ops/full_like.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros_like.h>
#include <fmt/format.h>

#include <cmath>

namespace pathkernel {
namespace {

constexpr const char* who = "training dynamics";

/// (b, g) ↦ (m00 b + m01 g + c0, m10 b + m11 g + c1), for every eigenvalue.
struct Affine {
  Tensor m00, m01, m10, m11, c0, c1;

  /// First `inner`, then this.
  Affine after(const Affine& inner) const {
    return {m00 * inner.m00 + m01 * inner.m10, m00 * inner.m01 + m01 * inner.m11, m10 * inner.m00 + m11 * inner.m10, m10 * inner.m01 + m11 * inner.m11,
            m00 * inner.c0 + m01 * inner.c1 + c0, m10 * inner.c0 + m11 * inner.c1 + c1};
  }
};

void check(const TrainingTime& time) {
  if (time.rate == 0) {
    if (!(time.flow >= 0)) throw InvalidInput(fmt::format("{}: the time is {}, expected zero or more", who, time.flow));
    return;
  }
  if (!(time.rate > 0) || !std::isfinite(time.rate) || time.steps < 0 || !(time.momentum >= 0 && time.momentum < 1))
    throw InvalidInput(fmt::format("{}: rate {}, momentum {}, {} steps; expected a rate above zero, a momentum from 0 up to but not 1, and steps from zero up", who, time.rate,
                                   time.momentum, time.steps));
}

/// By repeated squaring, log₂(steps) compositions; nothing is divided by λ, so that small eigenvalues keep their digits.
Tensor descent_gains(const Tensor& lambda, const TrainingTime& time) {
  const Tensor one = at::ones_like(lambda);
  Affine step{one * time.momentum, lambda, one * (-time.rate * time.momentum), 1 - time.rate * lambda, -one, one * time.rate};
  const Tensor zero = at::zeros_like(lambda);
  Affine all{one, zero, zero, one, zero, zero};
  for (int64_t left = time.steps; left > 0; left /= 2) {
    if (left % 2 == 1) all = step.after(all);
    step = step.after(step);
  }
  return all.c1;
}

Tensor flow_gains(const Tensor& lambda, double t) {
  const double floor = 10 * static_cast<double>(lambda.size(0)) * std::numeric_limits<double>::epsilon() * lambda[-1].item<double>();
  const Tensor some = lambda > floor, safe = at::where(some, lambda, at::ones_like(lambda));
  if (std::isinf(t)) return at::where(some, safe.reciprocal(), at::zeros_like(lambda));
  return at::where(some, -at::expm1(-safe * t) / safe, at::full_like(lambda, t));
}

}  // namespace

TrainingDynamics::TrainingDynamics(const Tensor& K, const Tensor& change, const MachineOptions& options) {
  const Tensor gram = training_gram(K, who);
  require_memory(3, gram.size(0), options.memory, who);
  change_ = targets_of(change, gram.size(0), who);
  eigen_ = eigen_decomposition(gram, who);
}

Tensor TrainingDynamics::gains(const TrainingTime& time) const {
  check(time);
  const Tensor g = time.rate > 0 ? descent_gains(eigen_.values, time) : flow_gains(eigen_.values, time.flow);
  const double stable = stable_rate(time.momentum);
  if ((time.steps > 0 && time.rate >= stable) || !g.abs().max().isfinite().item<bool>())
    throw InvalidInput(fmt::format("{}: descent with rate {:g} and momentum {:g} diverges; rates below {:.4g} converge", who, time.rate, time.momentum, stable));
  return g.unsqueeze(1);
}

Tensor TrainingDynamics::coefficients(const TrainingTime& time) const { return eigen_.vectors.mm(gains(time) * eigen_.vectors.t().mm(change_)); }

Tensor TrainingDynamics::transfer(const TrainingTime& time) const {
  const Tensor T = eigen_.vectors.mm(gains(time) * eigen_.vectors.t());
  return (T + T.t()) / 2;
}

double TrainingDynamics::squared_error(const TrainingTime& time) const {
  const Tensor left = (1 - eigen_.values.unsqueeze(1) * gains(time)) * eigen_.vectors.t().mm(change_);
  return left.square().sum().item<double>();
}

double TrainingDynamics::stable_rate(double momentum) const { return 2 * (1 + momentum) / eigen_.values[-1].item<double>(); }

Tensor ensemble_covariance(const Tensor& transfer, const Tensor& nngp, const Tensor& ntk_x, const Tensor& nngp_x, const Tensor& nngp_xx) {
  const Tensor T = training_gram(transfer, who), K = training_gram(nngp, who);
  const int64_t n = T.size(0);
  const Tensor moved = query_gram(ntk_x, n, who).mm(T), cross = moved.mm(query_gram(nngp_x, n, who).t()), prior = training_gram(nngp_xx, who);
  if (K.size(0) != n || cross.size(0) != prior.size(0) || cross.size(1) != prior.size(0))
    throw InvalidInput(fmt::format("{}: transfer {}, nngp {}, ntk_x {}, nngp_x {}, nngp_xx {}; expected [n, n] twice, [m, n] twice and [m, m]", who, describe(transfer),
                                   describe(nngp), describe(ntk_x), describe(nngp_x), describe(nngp_xx)));
  const Tensor covariance = prior - cross - cross.t() + moved.mm(K).mm(moved.t());
  return (covariance + covariance.t()) / 2;
}

}  // namespace pathkernel
