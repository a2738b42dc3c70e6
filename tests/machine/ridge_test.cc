// Kernel ridge: theory 8's identities against machines fitted anew, the path of lambdas, methods for many examples, principal components, what is refused.

#include "problem.h"

#include <pathkernel/machine/conjugate_gradients.h>
#include <pathkernel/machine/feature_ridge.h>
#include <pathkernel/machine/kernel_pca.h>
#include <pathkernel/machine/ridge.h>

#include <ATen/ops/eye.h>
#include <ATen/ops/full.h>
#include <ATen/ops/linalg_inv.h>
#include <ATen/ops/linalg_solve.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros.h>

#include <cmath>
#include <limits>

namespace pathkernel {
namespace {

using testing::largest_difference;
using testing::normal;
using testing::without;

class Ridge : public ::testing::Test, protected testing::Problem {
 protected:
  const double lambda = 0.3;
  const Tensor two = at::stack({y, y.square()}, 1);  // two outputs

  /// f^{−i} of the queries and of example i, by a machine fitted without it.
  std::pair<Tensor, Tensor> fitted_without(int64_t i) const {
    const KernelRidge less = fit_ridge(without(without(K, 0, i), 1, i), without(two, 0, i), lambda);
    return {less.predict(without(K_new, 1, i)), less.predict(without(K.narrow(0, i, 1), 1, i))};
  }
};

TEST_F(Ridge, SolvesTheSystem) {
  const KernelRidge machine = fit_ridge(K, two, lambda);
  EXPECT_LE(largest_difference((K + lambda * at::eye(30, K.options())).mm(machine.alpha), two), 1e-13);
  EXPECT_LE(largest_difference(machine.contributions(K_new).sum(1), machine.predict(K_new)), 1e-14);
  EXPECT_EQ(machine.factor.jitter, 0);
}

TEST_F(Ridge, LeaveOneOutAndRemovalsAreThoseOfMachinesFittedAnew) {
  const KernelRidge machine = fit_ridge(K, two, lambda);
  const Tensor removals = machine.removals(K_new);
  for (const int64_t i : {0, 7, 29}) {
    const auto [queries, itself] = fitted_without(i);
    EXPECT_LE(largest_difference(machine.predict(K_new) - queries, removals.select(1, i)), 1e-13);
    EXPECT_LE(largest_difference(machine.leave_one_out.narrow(0, i, 1), itself), 1e-13);
  }
}

TEST_F(Ridge, WeightDerivativesAreThoseOfWeightedMachines) {
  const KernelRidge machine = fit_ridge(K, two, lambda);
  const auto weighted = [&](int64_t i, double epsilon) {
    const Tensor noise = at::full({30}, lambda, at::kDouble);
    noise[i].fill_(lambda / (1 + epsilon));
    return K_new.mm(at::linalg_solve(K + at::eye(30, K.options()) * noise, two));
  };
  for (const int64_t i : {3, 7})
    EXPECT_LE(largest_difference((weighted(i, 1e-5) - weighted(i, -1e-5)) / 2e-5, machine.weight_derivatives(K_new).select(1, i)), 1e-10);
}

TEST_F(Ridge, ThePathHasTheMachineOfEveryLambda) {
  const std::vector<double> lambdas = {1e-3, 0.1, 0.3, 10};
  const RidgePath path = ridge_path(K, two, lambdas);
  for (int64_t r = 0; r < 4; ++r) {
    const KernelRidge machine = fit_ridge(K, two, lambdas[static_cast<size_t>(r)]);
    EXPECT_LE(testing::relative_difference(path.alpha[r], machine.alpha), 1e-11);
    EXPECT_LE(largest_difference(path.leave_one_out[r], machine.leave_one_out), 1e-11);
    EXPECT_NEAR(path.error[r].item<double>(), (machine.leave_one_out - two).square().mean().item<double>(), 1e-12);
    EXPECT_LE(path.error[path.best].item<double>(), path.error[r].item<double>());
  }
}

TEST_F(Ridge, ConjugateGradientsSolveTheSameSystemAndSayHowWell) {
  const KernelRidge machine = fit_ridge(K, two, lambda);
  for (const int64_t rank : {0, 10, 30}) {
    const RidgeByCg cg = fit_ridge_by_cg(*kernel, x, two, lambda, rank, {.tolerance = 1e-12}, {.memory = 30000});  // blocks of 30 rows and fewer
    EXPECT_TRUE(cg.solution.converged);
    EXPECT_LE(cg.solution.residual.max().item<double>(), 1e-11);
    EXPECT_LE(largest_difference(cg.alpha, machine.alpha), 1e-10) << rank;
    if (rank == 30) {  // the preconditioner is the matrix
      EXPECT_LE(cg.solution.iterations, 3);
    }
  }
  const RidgeByCg stopped = fit_ridge_by_cg(*kernel, x, two, 1e-3, 0, {.iterations = 2, .tolerance = 1e-12});
  EXPECT_FALSE(stopped.solution.converged);
  const Tensor left = two - K.mm(stopped.alpha) - 1e-3 * stopped.alpha;
  EXPECT_LE(largest_difference(stopped.solution.residual, left.norm(2, 0) / two.norm(2, 0)), 1e-13);
}

TEST_F(Ridge, ConjugateGradientsConvergeWhenTheResidualIsWithinTheTolerance) {
  const LinearMap A = [&](const Tensor& v) { return K.mm(v) + 1e-4 * v; };
  int64_t converged = 0;
  for (const double tolerance : {1e-10, 1e-12, 1e-13, 3e-14, 1e-14, 3e-15, 1e-15, 1e-17}) {
    const CgSolution s = conjugate_gradients(A, two, {}, {.tolerance = tolerance});
    const Tensor residual = (two - A(s.x)).norm(2, 0) / two.norm(2, 0);
    EXPECT_EQ(s.converged, residual.max().item<double>() <= tolerance) << tolerance << " " << residual.max().item<double>();
    EXPECT_LE(largest_difference(s.residual, residual), 1e-16);
    converged += s.converged;
  }
  EXPECT_GE(converged, 4) << "the residual of x itself is what is brought within the tolerance";
  EXPECT_LT(converged, 8) << "1e-17 is beyond rounding";
}

TEST_F(Ridge, ProductsWithTheKernelInBlocksAreTheProduct) {
  const Tensor V = normal({30, 3}, 9);
  for (const int64_t memory : {2000, 5000, 1 << 20})
    EXPECT_LE(largest_difference(kernel_product(*kernel, x, V, 0.7, memory), K.mm(V) + 0.7 * V), 1e-13) << memory;
}

TEST_F(Ridge, PivotedCholeskyLeavesTheTraceItSays) {
  const PivotedCholesky some = pivoted_cholesky(*kernel, x, 12), all = pivoted_cholesky(*kernel, x, 30);
  const Tensor left = K - some.L.mm(some.L.t());
  EXPECT_NEAR(left.trace().item<double>() / K.trace().item<double>(), some.unexplained, 1e-13);
  EXPECT_GE(left.diagonal().min().item<double>(), -1e-13);
  EXPECT_LE(largest_difference(all.L.mm(all.L.t()), K), 1e-13);
  EXPECT_LE(all.unexplained, 1e-14);
}

TEST_F(Ridge, NystroemWithAllExamplesIsTheMachineItselfAndWithFewSaysWhatIsMissing) {
  const Nystrom all = fit_nystrom(*kernel, x, two, lambda, 30), some = fit_nystrom(*kernel, x, two, lambda, 12, 5);
  EXPECT_LE(largest_difference(K_new.mm(all.alpha), fit_ridge(K, two, lambda).predict(K_new)), 1e-10);
  EXPECT_LE(all.unexplained, 1e-12);
  const Tensor K_nm = K.index_select(1, some.landmarks), K_mm = K_nm.index_select(0, some.landmarks);
  EXPECT_EQ(some.rank, 12);
  EXPECT_NEAR(some.unexplained, 1 - K_nm.mm(at::linalg_solve(K_mm, K_nm.t())).trace().item<double>() / 30, 1e-10);
  const Tensor expected = at::linalg_solve(K_nm.t().mm(K_nm) + lambda * K_mm, K_nm.t().mm(two));
  EXPECT_LE(largest_difference(some.alpha, expected), 1e-8);
}

TEST_F(Ridge, RandomFeaturesAreRidgeOnTheirOwnKernel) {
  const RandomFeatures features = fourier_features_of(*kernel, 4, 300, 7);
  const RandomFeatureRidge machine = fit_random_features(features, x, two, lambda);
  const Tensor own = features.gram(x).gram, K_q = features.gram(x_new, x).gram;
  EXPECT_LE(largest_difference(machine.predict(features, x_new), fit_ridge(own, two, lambda).predict(K_q)), 1e-11);
  const double error = std::sqrt((own - K).square().mean().item<double>());
  EXPECT_GT(machine.kernel_error, error / 3);
  EXPECT_LT(machine.kernel_error, error * 3);
  EXPECT_SAYS(fourier_features_of(*parse_kernel("2*rbf"), 4, 10, 0), "use Nystroem");
  EXPECT_SAYS(fourier_features_of(*parse_kernel("laplace:2,norm=1"), 4, 10, 0), "use Nystroem");
}

TEST_F(Ridge, PrincipalComponentsOfTheLinearKernelAreThoseOfTheInputs) {
  const KernelPtr linear = parse_kernel("linear");
  const KernelPca pca = fit_kernel_pca(linear->gram(x), 0);
  EXPECT_EQ(pca.variances.size(0), 4);  // the rank is that of the inputs
  const Tensor centred = x - x.mean(0), covariance = centred.t().mm(centred) / 30;
  EXPECT_LE(largest_difference(pca.variances.sum(), covariance.trace()), 1e-12);
  EXPECT_NEAR(pca.explained.sum().item<double>(), 1, 1e-12);
  const Tensor z = pca.transform(linear->gram(x_new, x)), own = pca.transform(linear->gram(x));
  EXPECT_LE(largest_difference(own.t().mm(own) / 30, pca.variances.diag()), 1e-12);
  const Tensor offset = x_new - x.mean(0);
  EXPECT_LE(largest_difference(z.mm(z.t()), offset.mm(offset.t())), 1e-12);  // distances within the components
  EXPECT_SAYS(fit_kernel_pca(linear->gram(x), 5), "only 4 eigenvalues above rounding");
}

TEST_F(Ridge, WhatCannotBeSolvedIsSaid) {
  const Tensor linear = parse_kernel("linear")->gram(x);  // rank 4
  EXPECT_SAYS(fit_ridge(linear, y, 0), "the Gram matrix (lambda is 0) is singular in float64: its eigenvalues go from");
  EXPECT_SAYS(fit_ridge(linear, y, 1e-14), "is singular");
  EXPECT_SAYS(ridge_path(linear, y, {1, 0}), "lambda = 0 leaves no solution");
  EXPECT_NEAR(fit_ridge(K, y, 0).leave_one_out.size(0), 30, 0);  // full rank: no ridge needed
  EXPECT_SAYS(fit_ridge(K, y, -1), "lambda is -1");
  EXPECT_SAYS(fit_ridge(K, y, std::nan("")), "lambda is nan");
  EXPECT_SAYS(fit_ridge(-K, y, 0.1), "not positive definite: its eigenvalues go from");
  EXPECT_SAYS(ridge_path(-K, y, {1}), "not positive semi-definite");
  EXPECT_SAYS(require_positive_semi_definite(K - 0.1 * at::eye(30, K.options()), "machine"), "has the eigenvalue -0.0");
  require_positive_semi_definite(linear, "machine");
  Tensor bad = K.clone();
  bad[3][5].fill_(std::numeric_limits<double>::infinity());
  EXPECT_SAYS(fit_ridge(bad, y, 1), "entry (3, 5) of the Gram matrix is inf");
  bad[3][5].fill_(7);
  EXPECT_SAYS(fit_ridge(bad, y, 1), "not symmetric");
  EXPECT_SAYS(fit_ridge(K_new, y, 1), "a square one [n, n] is expected");
  EXPECT_SAYS(fit_ridge(K, y.narrow(0, 0, 29), 1), "[30] or [30, k] is expected");
  EXPECT_SAYS(fit_ridge(K, y / 0, 1), "the target of example 0 is not finite");
  EXPECT_SAYS(fit_ridge(K, y, 1).predict(K_new.t()), "one column for each example the machine keeps");
  EXPECT_SAYS(fit_ridge(K, y, 1, {.memory = 10000}), "30 examples take about 14.1 KiB (2 matrices of n x n float64 numbers), but 9.8 KiB are allowed");
  EXPECT_SAYS(fit_ridge_by_cg(*kernel, x, y, 0), "expected a number above zero");
  EXPECT_SAYS(conjugate_gradients([&](const Tensor& v) { return -K.mm(v); }, two), "the matrix is not positive definite");
}

TEST_F(Ridge, JitterIsOnlyAddedWhenAllowedAndIsReported) {
  const Tensor linear = parse_kernel("linear")->gram(x);
  const KernelRidge machine = fit_ridge(linear, y, 0, {.largest_jitter = 1e-6});
  EXPECT_GT(machine.factor.jitter, 0);
  EXPECT_LE(machine.factor.jitter, 1e-6 * linear.diagonal().mean().item<double>());
  EXPECT_LE(largest_difference(machine.factor.L.mm(machine.factor.L.t()), linear + machine.factor.jitter * at::eye(30, K.options())), 1e-13);
  EXPECT_SAYS(fit_ridge(-K, y, 0, {.largest_jitter = 1e-6}), "also with the jitter allowed, 1e-06 of the mean diagonal");
  EXPECT_EQ(fit_ridge(K, y, 0.3, {.largest_jitter = 1e-6}).factor.jitter, 0);
}

}  // namespace
}  // namespace pathkernel
