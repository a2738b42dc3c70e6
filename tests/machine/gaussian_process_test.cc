// Gaussian processes: evidence, its gradient and hyper-parameters, posteriors, Laplace's approximation for two and more classes; theory 8.

#include "problem.h"

#include <pathkernel/kernel/gram.h>
#include <pathkernel/machine/evidence.h>
#include <pathkernel/machine/expectations.h>
#include <pathkernel/machine/joint_laplace.h>
#include <pathkernel/machine/laplace.h>
#include <pathkernel/machine/minimise.h>

#include <ATen/ops/eye.h>
#include <ATen/ops/linalg_inv.h>
#include <ATen/ops/linalg_slogdet.h>
#include <ATen/ops/linalg_solve.h>
#include <ATen/ops/log_sigmoid.h>
#include <ATen/ops/logsumexp.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/scalar_tensor.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

#include <cmath>
#include <numbers>

namespace pathkernel {
namespace {

using testing::largest_difference;
using testing::normal;

class Gp : public ::testing::Test, protected testing::Problem {
 protected:
  const double noise = 0.05;
  const Tensor I = at::eye(30, at::kDouble), two = at::stack({y, 1 - y.square()}, 1), K_y = K + noise * I;
  Tensor labels = y.gt(y.median()).to(at::kLong);
  Tensor thirds = (x.select(1, 0) > 0.4).to(at::kLong) + (x.select(1, 0) > -0.4).to(at::kLong);

  double log_density(const Tensor& targets) const {
    const double logdet = std::get<1>(at::linalg_slogdet(K_y)).item<double>();
    return -0.5 * (targets * at::linalg_solve(K_y, targets)).sum().item<double>() -
           static_cast<double>(targets.size(1)) * 0.5 * (logdet + 30 * std::log(2 * std::numbers::pi));
  }
};

TEST_F(Gp, EvidenceAndPosteriorAreTheFormulas) {
  const GaussianProcess gp = fit_gaussian_process(K, two, noise);
  EXPECT_NEAR(gp.log_evidence, log_density(two), 1e-11);
  EXPECT_LE(largest_difference(gp.mean(K_new), K_new.mm(at::linalg_solve(K_y, two))), 1e-12);
  const Tensor prior = kernel->gram(x_new), posterior = prior - K_new.mm(at::linalg_solve(K_y, K_new.t()));
  EXPECT_LE(largest_difference(gp.covariance(K_new, prior), posterior), 1e-13);
  EXPECT_LE(largest_difference(gp.variance(K_new, k_new), posterior.diagonal()), 1e-13);
  EXPECT_LE(largest_difference(gp.evidence_gradient(), (gp.alpha.mm(gp.alpha.t()) - 2 * at::linalg_inv(K_y)) / 2), 1e-10);
}

TEST_F(Gp, GradientOfTheEvidenceIsTheQuotientOfDifferences) {
  const KernelPtr sum = parse_kernel("0.7*rbf:[1.3 2 1 0.8] + 0.2*ntk(dense:w=1.2,b=0.3 relu dense)");
  const Evidence e = log_evidence(*sum, x, two, noise);
  ASSERT_EQ(e.slopes.size(), 10);  // two scales, four length-scales, W_std twice, b_std, noise
  const auto at_point = [&](const std::string& name, double factor) {
    const KernelPtr moved = parse_kernel(sum->specification());
    double sigma2 = noise;
    if (name == "noise") sigma2 *= factor;
    for (const Hyperparameter& p : moved->hyperparameters()) {
      const Tensor value = p.value.clone();
      if (p.name == name) value.fill_(value.item<double>() * factor);
      for (int64_t k = 0; p.value.dim() == 1 && k < p.value.numel(); ++k)
        if (p.name + "[" + std::to_string(k) + "]" == name) value[k].fill_(value[k].item<double>() * factor);
      moved->set_hyperparameter(p.name, value);
    }
    return fit_gaussian_process(moved->gram(x), two, sigma2).log_evidence;
  };
  for (const EvidenceSlope& s : e.slopes) EXPECT_NEAR((at_point(s.name, std::exp(1e-5)) - at_point(s.name, std::exp(-1e-5))) / 2e-5, s.slope, 2e-7 * (1 + std::abs(s.slope))) << s.name;
  for (const Hyperparameter& p : sum->hyperparameters()) EXPECT_FALSE(p.value.requires_grad()) << p.name;
}

TEST_F(Gp, GradientInTilesIsThatOfOnePiece) {
  const Tensor many = normal({700, 3}, 4), targets = many.select(1, 1).cos();
  const Evidence e = log_evidence(*kernel, many, targets, noise);
  const Tensor leaf = at::scalar_tensor(1.3, at::kDouble).requires_grad_(true);
  kernel->set_hyperparameter("lengthscale", leaf);
  const Tensor G = fit_gaussian_process(kernel->gram(many).detach(), targets, noise).evidence_gradient();
  (kernel->gram(many) * G).sum().backward();
  EXPECT_NEAR(e.slopes[0].slope, 1.3 * leaf.grad().item<double>(), 1e-9 * std::abs(e.slopes[0].slope));
}

TEST_F(Gp, HyperparametersReachAPointWithoutSlope) {
  const KernelPtr scaled = parse_kernel("1*rbf:3");
  const double begin = log_evidence(*scaled, x, y, 0.5).log_evidence;
  const HyperparameterFit fit = fit_hyperparameters(*scaled, x, y, 0.5, {.restarts = 2});
  EXPECT_EQ(fit.starts.size(), 3);
  EXPECT_GT(fit.log_evidence, begin + 5);
  EXPECT_TRUE(fit.starts[static_cast<size_t>(fit.best)].converged);
  for (const HyperparameterFit::Start& s : fit.starts) EXPECT_LE(s.log_evidence, fit.log_evidence + 1e-9);
  ASSERT_TRUE(fit.at_bound.empty());
  for (const EvidenceSlope& s : fit.slopes) EXPECT_LE(std::abs(s.slope), 1e-4) << s.name;
  EXPECT_NEAR(log_evidence(*scaled, x, y, fit.noise).log_evidence, fit.log_evidence, 1e-9);  // the kernel is left with the best
  const KernelPtr again = parse_kernel("1*rbf:3");
  const HyperparameterFit held = fit_hyperparameters(*again, x, y, 0.5, {.restarts = 0, .fit_noise = false, .fixed = {"scale"}});
  EXPECT_EQ(held.noise, 0.5);
  EXPECT_TRUE(again->specification().starts_with("1*rbf")) << again->specification();
  EXPECT_SAYS(fit_hyperparameters(*again, x, y, 0.5, {.fixed = {"width"}}), "there is no hyper-parameter \"width\"");
  EXPECT_SAYS(fit_hyperparameters(*again, x, y / 0, 0.5), "the evidence exists at none of 4 starts");
}

TEST(Minimise, FindsTheValleyAndStaysInItsBox) {
  const auto rosenbrock = [](const std::vector<double>& z) -> std::optional<ValueAndGradient> {
    if (z[0] > 1.5) return {};  // not defined everywhere
    const double a = 1 - z[0], b = z[1] - z[0] * z[0];
    return ValueAndGradient{a * a + 100 * b * b, {-2 * a - 400 * z[0] * b, 200 * b}};
  };
  const auto free = minimise(rosenbrock, {-1.2, 1}, {-10, -10}, {10, 10});
  ASSERT_TRUE(free && free->converged);
  EXPECT_NEAR(free->at[0], 1, 1e-5);
  EXPECT_NEAR(free->at[1], 1, 1e-5);
  const auto boxed = minimise(rosenbrock, {-1.2, 1}, {-10, -10}, {0.5, 10});
  ASSERT_TRUE(boxed && boxed->converged);
  EXPECT_EQ(boxed->at[0], 0.5);
  EXPECT_NEAR(boxed->at[1], 0.25, 1e-6);
  EXPECT_FALSE(minimise(rosenbrock, {2, 1}, {-10, -10}, {10, 10}));
}

TEST(Minimise, EndsWhereTheValuesDigitsEnd) {
  // of 1e9 a double shows 1e-7: the last steps change nothing that can be seen
  const auto bowl = [](const std::vector<double>& z) -> std::optional<ValueAndGradient> {
    return ValueAndGradient{1e9 + std::cosh(z[0]) + z[1] * z[1], {std::sinh(z[0]), 2 * z[1]}};
  };
  const auto found = minimise(bowl, {3, -2}, {-10, -10}, {10, 10}, {.gradient = 1e-12});
  ASSERT_TRUE(found && found->converged);
  EXPECT_LE(found->evaluations, 25);
  EXPECT_NEAR(found->at[0], 0, 0.1);
}

TEST_F(Gp, SamplesHaveTheCovariance) {
  const Tensor C = kernel->gram(x_new), mean = normal({5, 2}, 8);
  const GaussianSamples drawn = sample_gaussian(mean, C, 40000, 3);
  EXPECT_EQ(drawn.jitter, 0);
  EXPECT_LE(largest_difference(drawn.samples.mean(0), mean), 0.03);
  const Tensor centred = drawn.samples.select(2, 1) - mean.select(1, 1);
  EXPECT_LE(largest_difference(centred.t().mm(centred) / 40000, C), 0.04);
  EXPECT_TRUE(drawn.samples.equal(sample_gaussian(mean, C, 40000, 3).samples));
  const Tensor singular = at::ones({5, 5}, at::kDouble);
  EXPECT_GT(sample_gaussian(mean, singular, 2, 0).jitter, 0);
  EXPECT_SAYS(sample_gaussian(mean, singular, 2, 0, {}), "is singular");
}

TEST_F(Gp, LaplaceForTwoClassesIsTheFormulas) {
  const LaplaceBinary m = fit_laplace_binary(K, labels);
  EXPECT_TRUE(m.converged);
  const Tensor sign = labels.to(at::kDouble) * 2 - 1, pi = at::sigmoid(m.mode), W = pi * (1 - pi);
  EXPECT_LE(largest_difference(K.mv((sign + 1) / 2 - pi), m.mode), 1e-10);  // stationary
  const Tensor naive = at::linalg_inv(K + (1 / W).diag());
  EXPECT_LE(largest_difference(m.mean(K_new), K_new.mv((sign + 1) / 2 - pi)), 1e-12);
  EXPECT_LE(largest_difference(m.variance(K_new, k_new), k_new - K_new.mm(naive).mm(K_new.t()).diagonal()), 1e-11);
  const double logdet = std::get<1>(at::linalg_slogdet(I + K.mm(W.diag()))).item<double>();
  const double evidence = -0.5 * m.mode.dot(at::linalg_solve(K, m.mode)).item<double>() + at::log_sigmoid(sign * m.mode).sum().item<double>() - 0.5 * logdet;
  EXPECT_NEAR(m.log_evidence, evidence, 1e-9);
}

TEST_F(Gp, ProbabilitiesAreTheIntegral) {
  const LaplaceBinary m = fit_laplace_binary(100 * K, labels);  // wide
  const Tensor mean = m.mean(100 * K_new), deviation = m.variance(100 * K_new, 100 * k_new).sqrt();
  Tensor sum = at::zeros({5}, at::kDouble);
  const int64_t steps = 10000;
  for (int64_t j = 0; j < steps; ++j) {
    const double z = -10 + 20 * (static_cast<double>(j) + 0.5) / steps;
    sum += at::sigmoid(mean + deviation * z) * (std::exp(-z * z / 2) * 20 / steps / std::sqrt(2 * std::numbers::pi));
  }
  EXPECT_GT(deviation.max().item<double>(), 2);
  EXPECT_LE(largest_difference(m.probabilities(100 * K_new, 100 * k_new).select(1, 1), sum), 1e-10);
}

/// Kernels so large that rounding eats f̂ = K∇.
TEST(Laplace, ConvergedIsAtTheMode) {
  const Tensor x = normal({60, 4}, 11), K = parse_kernel("rbf:1.3")->gram(x), level = x.select(1, 0) + 0.3 * normal({60}, 12);
  const Tensor two = level.gt(0).to(at::kLong), three = (level > 0.4).to(at::kLong) + (level > -0.4).to(at::kLong);
  const auto off = [&](const Tensor& scaled, const Tensor& f, const Tensor& gradient) { return ((gradient.mm(scaled) - f).norm() / f.norm()).item<double>(); };
  for (const double scale : {1e0, 1e4, 1e8, 1e12}) {
    const Tensor scaled = scale * K;
    const LaplaceBinary binary = fit_laplace_binary(scaled, two);
    const double of_two = off(scaled, binary.mode.unsqueeze(0), binary.gradient.unsqueeze(0));
    EXPECT_LE(of_two, scale <= 1e8 ? 1e-7 : 1e-4) << scale << " after " << binary.iterations;
    const LaplaceMulticlass multi = fit_laplace_multiclass(scaled, three, 3);
    const double of_three = off(scaled, multi.mode, multi.gradient);
    EXPECT_LE(of_three, scale <= 1e8 ? 1e-7 : 1e-4) << scale << " after " << multi.iterations;
    EXPECT_EQ(binary.converged, scale <= 1e8) << scale;  // beyond, 1e-9 of f̂ is less than the rounding of Ka
    EXPECT_EQ(multi.converged, scale <= 1e8) << scale;
    EXPECT_LT(std::max(binary.iterations, multi.iterations), 50) << scale << ": where rounding is all that is left there is nothing to repeat";
    for (const bool done : {fit_laplace_binary(scaled, two, {.tolerance = 1e-300}).converged, fit_laplace_multiclass(scaled, three, 3, {.tolerance = 1e-300}).converged})
      EXPECT_FALSE(done) << scale << ": no step is no convergence";
  }
  const JointLaplace joint = fit_joint_laplace(1e12 * K, at::zeros({60, 1}, at::kDouble), two);
  EXPECT_EQ(joint.converged, joint.residual <= 1e-7);
}

TEST(ExpectedSigmoid, IsTheIntegralForEveryDeviation) {
  struct Case { double mean, deviation, expected; };
  // mpmath, 40 digits, by two forms of the integral
  const std::vector<Case> cases = {{0.3, 0.5, 0.57036578361814843536},    {2, 3, 0.71742398589567639593},        {-4, 9.99, 0.34678489655826045562},   {5, 10.01, 0.68848610860897815913},
                                   {-12, 25, 0.31606056969571430954},     {30, 1e2, 0.61789260775778432853},     {-150, 1e2, 0.066839155693939283263}, {2000, 1e4, 0.57925970815262416906},
                                   {1, 1e6, 0.50000039894228040071},      {5e7, 1e8, 0.69146246127401307468},    {-1e8, 1e8, 0.15865525393145709122},  {0, 0, 0.5}};
  std::vector<double> means, variances;
  for (const Case& c : cases) means.push_back(c.mean), variances.push_back(c.deviation * c.deviation);
  const Tensor together = expected_sigmoid(at::tensor(means, at::kDouble), at::tensor(variances, at::kDouble));
  for (size_t k = 0; k < cases.size(); ++k) {
    const Tensor alone = expected_sigmoid(at::tensor({means[k]}, at::kDouble), at::tensor({variances[k]}, at::kDouble));
    EXPECT_NEAR(alone.item<double>(), cases[k].expected, 1e-12) << cases[k].mean << " " << cases[k].deviation;
    EXPECT_NEAR(together[static_cast<int64_t>(k)].item<double>(), cases[k].expected, 1e-12) << cases[k].mean << " " << cases[k].deviation;
  }
}

TEST_F(Gp, LaplaceForManyClassesIsTheFormulas) {
  const LaplaceMulticlass m = fit_laplace_multiclass(K, thirds, 3);
  EXPECT_TRUE(m.converged);
  const Tensor pi = at::softmax(m.mode, 0);
  EXPECT_LE(largest_difference(m.gradient.mm(K), m.mode), 1e-9);
  // All classes in one vector: W = D − ΠΠᵀ, [90, 90].
  Tensor W = pi.reshape(-1).diag(), big = at::zeros({90, 90}, at::kDouble), queries = at::zeros({15, 90}, at::kDouble);
  for (int64_t c = 0; c < 3; ++c) {
    for (int64_t d = 0; d < 3; ++d) W.narrow(0, 30 * c, 30).narrow(1, 30 * d, 30) -= (pi[c] * pi[d]).diag();
    big.narrow(0, 30 * c, 30).narrow(1, 30 * c, 30) += K;
    queries.narrow(0, 5 * c, 5).narrow(1, 30 * c, 30) += K_new;
  }
  const Tensor all = at::eye(90, at::kDouble), f = m.mode.reshape(-1), one_hot = at::zeros({3, 30}, at::kDouble).scatter_(0, thirds.unsqueeze(0), 1);
  const double evidence = -0.5 * f.dot(at::linalg_solve(big, f)).item<double>() + (one_hot * m.mode).sum().item<double>() -
                          at::logsumexp(m.mode, {0}).sum().item<double>() - 0.5 * std::get<1>(at::linalg_slogdet(all + big.mm(W))).item<double>();
  EXPECT_NEAR(m.log_evidence, evidence, 1e-9);
  const Tensor reduced = queries.mm(at::linalg_solve(all + W.mm(big), W)).mm(queries.t());  // K_x (I + WK)⁻¹ W K_xᵀ
  const Tensor covariance = m.covariance(K_new, k_new);
  for (int64_t q = 0; q < 5; ++q)
    for (int64_t c = 0; c < 3; ++c)
      for (int64_t d = 0; d < 3; ++d)
        EXPECT_NEAR(covariance[q][c][d].item<double>(), (c == d ? k_new[q].item<double>() : 0) - reduced[5 * c + q][5 * d + q].item<double>(), 1e-10);
  const EstimatedProbabilities p = m.probabilities(K_new, k_new, 2000, 1), more = m.probabilities(K_new, k_new, 200000, 2);
  EXPECT_LE(largest_difference(p.mean.sum(1), at::ones({5}, at::kDouble)), 1e-12);
  const Tensor off = (p.mean - more.mean).abs() / p.standard_error;
  EXPECT_LE(off.max().item<double>(), 5);
  EXPECT_GT(off.mean().item<double>(), 0.1);
}

TEST_F(Gp, TwoClassesByEitherWayAgree) {
  // softmax over two processes with kernel K/2 each is the logistic function of one with K
  const LaplaceBinary one = fit_laplace_binary(K, labels);
  const LaplaceMulticlass two_of = fit_laplace_multiclass(K / 2, labels, 2);
  EXPECT_LE(largest_difference(two_of.mode[1] - two_of.mode[0], one.mode), 1e-7);
  EXPECT_NEAR(one.log_evidence, two_of.log_evidence, 1e-8);
}

TEST_F(Gp, WhatCannotBeIsSaid) {
  EXPECT_SAYS(fit_gaussian_process(K, y, -0.1), "expected a variance from zero up");
  EXPECT_SAYS(fit_gaussian_process(parse_kernel("linear")->gram(x), y, 0), "the Gram matrix (the noise is 0) is singular");
  const GaussianProcess gp = fit_gaussian_process(K, y, noise);
  EXPECT_SAYS(gp.variance(K_new, k_new.narrow(0, 0, 4)), "but [5] is expected, one number a query");
  EXPECT_SAYS(gp.variance(K_new, -k_new), "expected a number from zero up");
  EXPECT_SAYS(log_evidence(*kernel, x, y, noise, {.memory = 20000}), "4 matrices");
  EXPECT_SAYS(fit_laplace_binary(K, thirds), "labels go from 0 to 2, but there are 2 classes");
  EXPECT_SAYS(fit_laplace_binary(K, labels * 0), "all examples are of class 0");
  EXPECT_SAYS(fit_laplace_multiclass(K, thirds.to(at::kDouble), 3), "expected int64 [30]");
}

}  // namespace
}  // namespace pathkernel
