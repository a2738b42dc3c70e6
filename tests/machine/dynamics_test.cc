// Training of a linearised network in closed form against the steps themselves (theory 8), and the ensemble of infinitely wide networks.

#include "problem.h"

#include <pathkernel/machine/dynamics.h>
#include <pathkernel/machine/gaussian_process.h>
#include <pathkernel/machine/ridge.h>

#include <ATen/ops/eye.h>
#include <ATen/ops/linalg_lstsq.h>
#include <ATen/ops/linalg_matrix_exp.h>
#include <ATen/ops/linalg_solve.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include <cmath>

namespace pathkernel {
namespace {

using testing::largest_difference;
using testing::normal;

/// A network linear in 40 weights, 30 examples, 5 queries, two outputs: w [40, 2].
class Dynamics : public ::testing::Test {
 protected:
  const Tensor J = normal({30, 40}, 1), J_new = normal({5, 40}, 2), y = normal({30, 2}, 3), w0 = 0.3 * normal({40, 2}, 4);
  const Tensor K = J.mm(J.t()), K_new = J_new.mm(J.t()), f0 = J.mm(w0), f0_new = J_new.mm(w0);
  const TrainingDynamics dynamics{K, y - f0};

  /// w after steps of b ← μb + ∇, w ← w − ηb on ½Σr².
  Tensor trained(double rate, double momentum, int64_t steps) const {
    Tensor w = w0.clone(), b = at::zeros_like(w0);
    for (int64_t s = 0; s < steps; ++s) {
      b = momentum * b + J.t().mm(J.mm(w) - y);
      w = w - rate * b;
    }
    return w;
  }
  Tensor predicted(const TrainingTime& time) const { return f0_new + K_new.mm(dynamics.coefficients(time)); }
};

TEST_F(Dynamics, DescentAndMomentumAreTheStepsThemselves) {
  for (const double momentum : {0.0, 0.5, 0.9})
    for (const int64_t steps : {0, 1, 2, 7, 500}) {
      const double rate = 0.4 * dynamics.stable_rate(momentum);
      const TrainingTime time = TrainingTime::descent(rate, steps, momentum);
      const Tensor w = trained(rate, momentum, steps);
      EXPECT_LE(largest_difference(predicted(time), J_new.mm(w)), 1e-12) << momentum << " " << steps;
      EXPECT_NEAR(dynamics.squared_error(time), (J.mm(w) - y).square().sum().item<double>(), 1e-10);
    }
}

TEST_F(Dynamics, CoefficientsAreWhatExamplesContributedAlongThePath) {
  const double rate = 0.4 * dynamics.stable_rate();
  Tensor w = w0.clone(), contributions = at::zeros({5, 30, 2}, at::kDouble);
  for (int s = 0; s < 500; ++s) {
    const Tensor r = J.mm(w) - y;
    contributions -= rate * K_new.unsqueeze(2) * r.unsqueeze(0);
    w = w - rate * J.t().mm(r);
  }
  const Tensor alpha = dynamics.coefficients(TrainingTime::descent(rate, 500));
  EXPECT_LE(largest_difference(K_new.unsqueeze(2) * alpha.unsqueeze(0), contributions), 1e-11);
}

TEST_F(Dynamics, FlowIsTheMatrixExponentialAndTheLimitOfSmallSteps) {
  const double t = 0.03;
  const Tensor decay = at::linalg_matrix_exp(-K * t);
  const Tensor expected = f0_new + K_new.mm(at::linalg_solve(K, (at::eye(30, K.options()) - decay).mm(y - f0)));
  EXPECT_LE(largest_difference(predicted(TrainingTime::flow_for(t)), expected), 1e-11);
  const int64_t steps = int64_t{1} << 20;
  EXPECT_LE(largest_difference(predicted(TrainingTime::descent(t / static_cast<double>(steps), steps)), expected), 1e-5);
  EXPECT_LE(largest_difference(predicted(TrainingTime::flow_for(0)), f0_new), 0);
}

TEST_F(Dynamics, InTheEndItIsTheSolutionOfSmallestNorm) {
  const Tensor end = predicted({}), change = std::get<0>(at::linalg_lstsq(J, y - f0, std::nullopt, "gelsd"));
  EXPECT_LE(largest_difference(end, f0_new + J_new.mm(change)), 1e-11);
  EXPECT_LE(dynamics.squared_error({}), 1e-20);
  EXPECT_LE(largest_difference(dynamics.coefficients({}), fit_ridge(K, y - f0, 0).alpha), 1e-11);
  EXPECT_LE(largest_difference(predicted(TrainingTime::descent(0.5 * dynamics.stable_rate(), int64_t{1} << 40)), end), 1e-9);
}

TEST_F(Dynamics, DirectionsWithoutEigenvalueGrowInTheirCoefficientsAlone) {
  const Tensor thin = normal({30, 10}, 6), K10 = thin.mm(thin.t());  // rank 10
  const TrainingDynamics singular(K10, y);
  const Tensor null = y - thin.mm(std::get<0>(at::linalg_lstsq(thin, y, std::nullopt, "gelsd")));
  const Tensor alpha = singular.coefficients(TrainingTime::flow_for(5)), end = singular.coefficients({});
  EXPECT_LE(largest_difference(alpha - 5 * null, end), 1e-6);   // g = t at λ = 0; the others have decayed
  EXPECT_LE(largest_difference(K10.mm(end), y - null), 1e-10);
  EXPECT_NEAR(singular.squared_error(TrainingTime::flow_for(5)), null.square().sum().item<double>(), 1e-8);
}

TEST_F(Dynamics, EnsembleIsTheImageOfTheInitialProcess) {
  // f_T = f_0(x) + Θ_x T (y − f_0(X)) is linear in f_0 ~ N(0, [K, K_xᵀ; K_x, K_xx]).
  const Tensor features = normal({35, 50}, 7), joint = features.mm(features.t()) / 50;
  const Tensor nngp = joint.narrow(0, 0, 30).narrow(1, 0, 30), nngp_x = joint.narrow(0, 30, 5).narrow(1, 0, 30), nngp_xx = joint.narrow(0, 30, 5).narrow(1, 30, 5);
  const Tensor T = dynamics.transfer(TrainingTime::flow_for(0.02));
  Tensor map = at::zeros({5, 35}, at::kDouble);
  map.narrow(1, 0, 30) -= K_new.mm(T);
  map.narrow(1, 30, 5) += at::eye(5, at::kDouble);
  EXPECT_LE(largest_difference(ensemble_covariance(T, nngp, K_new, nngp_x, nngp_xx), map.mm(joint).mm(map.t())), 1e-12);
  EXPECT_LE(largest_difference(T.mm(y - f0), dynamics.coefficients(TrainingTime::flow_for(0.02))), 1e-12);
  // Where the tangent kernel is the covariance itself, training to the end is conditioning on the data.
  const Tensor end = TrainingDynamics(nngp, y).transfer({});
  const Tensor posterior = fit_gaussian_process(nngp, y, 0).covariance(nngp_x, nngp_xx);
  EXPECT_LE(largest_difference(ensemble_covariance(end, nngp, nngp_x, nngp_x, nngp_xx), posterior), 1e-9);
}

TEST_F(Dynamics, WhatCannotBeIsSaid) {
  EXPECT_SAYS(dynamics.coefficients(TrainingTime::descent(1.1 * dynamics.stable_rate(), 100000)), "diverges; rates below");
  for (const double momentum : {0.0, 0.9})  // finite numbers, and none of a network that learns
    for (const double times : {1.0, 1.1, 1e6}) {
      const TrainingTime time = TrainingTime::descent(times * dynamics.stable_rate(momentum), 2, momentum);
      EXPECT_SAYS(dynamics.coefficients(time), "diverges; rates below") << times;
      EXPECT_SAYS(dynamics.transfer(time), "diverges; rates below") << times;
      EXPECT_SAYS(dynamics.squared_error(time), "diverges; rates below") << times;
    }
  EXPECT_EQ(dynamics.coefficients(TrainingTime::descent(1e9, 0)).abs().max().item<double>(), 0) << "no step was taken";
  EXPECT_SAYS(dynamics.coefficients(TrainingTime::flow_for(-1)), "the time is -1");
  EXPECT_SAYS(dynamics.coefficients(TrainingTime::descent(0.1, -1)), "-1 steps");
  EXPECT_SAYS(dynamics.coefficients(TrainingTime::descent(0.1, 5, 1)), "momentum 1");
  EXPECT_SAYS(TrainingDynamics(K, y.narrow(0, 0, 3)), "[30] or [30, k] is expected");
}

}  // namespace
}  // namespace pathkernel
