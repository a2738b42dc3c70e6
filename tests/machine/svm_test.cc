// Support vector machines: LIBSVM's own answers, the conditions of the optimum, probabilities, and what is refused.

#include "problem.h"

#include <pathkernel/machine/svm.h>

#include <ATen/ops/arange.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/eye.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/zeros.h>
#include <libsvm/svm.h>

namespace pathkernel {
namespace {

using testing::largest_difference;

class SupportVectors : public ::testing::Test, protected testing::Problem {
 protected:
  const Tensor labels = y.gt(y.median()).to(at::kLong);
  const Tensor thirds = (x.select(1, 0) > 0.4).to(at::kLong) + (x.select(1, 1) > 0).to(at::kLong);

  static std::vector<std::vector<svm_node>> nodes(const Tensor& K) {
    std::vector<std::vector<svm_node>> rows;
    for (int64_t i = 0; i < K.size(0); ++i) {
      rows.push_back({{0, static_cast<double>(i + 1)}});
      for (int64_t j = 0; j < K.size(1); ++j) rows.back().push_back({static_cast<int>(j + 1), K[i][j].item<double>()});
      rows.back().push_back({-1, 0});
    }
    return rows;
  }
};

TEST_F(SupportVectors, TwoClassesMeetTheConditionsOfTheOptimum) {
  const double C = 2;
  const Svm svm = fit_svm(K, labels, 2, {.C = C, .tolerance = 1e-10});
  const Tensor alpha = at::zeros({30}, at::kDouble).index_add(0, svm.support, svm.coefficients[0]);  // y_i α_i
  const Tensor sign = 1 - 2 * labels.to(at::kDouble), margin = sign * svm.decisions(K).squeeze(1), size = sign * alpha;
  EXPECT_NEAR(alpha.sum().item<double>(), 0, 1e-14);
  for (int64_t i = 0; i < 30; ++i) {
    const double a = size[i].item<double>(), m = margin[i].item<double>();
    // LIBSVM works on the kernel in float32: margins are good to 1e-7 each
    if (a < 1e-9) EXPECT_GE(m, 1 - 1e-6);
    else if (a > C - 1e-9) EXPECT_LE(m, 1 + 1e-6);
    else EXPECT_NEAR(m, 1, 1e-6);
  }
  const double norm = alpha.dot(K.mv(alpha)).item<double>();
  const double gap = norm + C * (1 - margin).clamp_min(0).sum().item<double>() - size.sum().item<double>();
  EXPECT_NEAR(svm.gap[0].item<double>(), gap, 1e-12);
  EXPECT_LE(gap, 4e-7);  // theory 8
  EXPECT_GE(gap, -1e-12);
  EXPECT_GT(fit_svm(K, labels, 2, {.C = C, .tolerance = 0.1}).gap[0].item<double>(), 1e-4);
}

TEST_F(SupportVectors, ManyClassesAreLibsvmsOwn) {
  const Svm svm = fit_svm(K, thirds, 3, {.C = 3, .probability = true});
  // LIBSVM numbers classes as they come: give it the examples in their order.
  const Tensor order = thirds.argsort(/*stable=*/true), y_sorted = thirds.index_select(0, order).to(at::kDouble);
  auto rows = nodes(K.index_select(0, order).index_select(1, order));
  auto queries = nodes(K_new.index_select(1, order));
  std::vector<svm_node*> pointers;
  for (auto& row : rows) pointers.push_back(row.data());
  svm_problem problem{30, y_sorted.data_ptr<double>(), pointers.data()};
  svm_parameter p{};
  p.kernel_type = PRECOMPUTED;
  p.cache_size = 100;
  p.eps = 1e-3;
  p.C = 3;
  p.shrinking = p.probability = 1;
  svm_set_print_string_function([](const char*) {});
  std::srand(1);
  svm_model* model = svm_train(&problem, &p);
  const Tensor decisions = svm.decisions(K_new), probabilities = svm.probabilities(K_new), classes = svm.predict(K_new);
  for (int64_t q = 0; q < 5; ++q) {
    double own[3], share[3];
    EXPECT_EQ(svm_predict_values(model, queries[static_cast<size_t>(q)].data(), own), static_cast<double>(classes[q].item<int64_t>()));
    svm_predict_probability(model, queries[static_cast<size_t>(q)].data(), share);
    for (int64_t k = 0; k < 3; ++k) {
      EXPECT_NEAR(decisions[q][k].item<double>(), own[k], 1e-13);
      EXPECT_NEAR(probabilities[q][k].item<double>(), share[k], 1e-13);
    }
  }
  svm_free_and_destroy_model(&model);
}

/// Without probabilities the pairs are trained side by side; with them LIBSVM trains them one after the other.
TEST_F(SupportVectors, PairsSideBySideAreThoseOneAfterTheOther) {
  at::manual_seed(4);
  const Tensor five = at::randint(0, 5, {30}, at::kLong), two = five.remainder(2);
  for (const auto& [labels, classes] : {std::pair{five, 5}, {thirds, 3}, {two, 2}}) {
    const Svm together = fit_svm(K, labels, classes, {.C = 3}), apart = fit_svm(K, labels, classes, {.C = 3, .probability = true});
    EXPECT_TRUE(together.support.equal(apart.support));
    EXPECT_TRUE(together.per_class.equal(apart.per_class));
    EXPECT_TRUE(together.coefficients.equal(apart.coefficients));
    EXPECT_TRUE(together.rho.equal(apart.rho));
    EXPECT_EQ(together.examples, apart.examples);
    EXPECT_FALSE(together.sigmoids.defined());
  }
}

TEST_F(SupportVectors, OnlySupportVectorsAreNeeded) {
  const Svm svm = fit_svm(K, thirds, 3, {.probability = true}), small = svm.compact();
  const Tensor columns = K_new.index_select(1, svm.support);
  EXPECT_LT(svm.support.size(0), 30);
  EXPECT_TRUE(small.decisions(columns).equal(svm.decisions(K_new)));
  EXPECT_TRUE(small.predict(columns).equal(svm.predict(K_new)));
  EXPECT_TRUE(small.probabilities(columns).equal(svm.probabilities(K_new)));
  EXPECT_EQ(svm.per_class.sum().item<int64_t>(), svm.support.size(0));
  EXPECT_TRUE(thirds.index_select(0, svm.support).equal(thirds.index_select(0, svm.support).msort()));
}

TEST_F(SupportVectors, EqualVotesGoToTheFirstClass) {
  Svm circle;  // 0 beats 1, 1 beats 2, 2 beats 0
  circle.examples = 1;
  circle.classes = 3;
  circle.support = at::zeros({1}, at::kLong);
  circle.per_class = at::tensor({1, 0, 0}, at::kLong);
  circle.coefficients = at::zeros({2, 1}, at::kDouble);
  circle.rho = at::tensor({-1., 1., -1.}, at::kDouble);
  EXPECT_EQ(circle.predict(at::zeros({1, 1}, at::kDouble)).item<int64_t>(), 0);
}

TEST_F(SupportVectors, WhatCannotBeIsSaid) {
  EXPECT_SAYS(fit_svm(K, labels, 2, {.C = -1}), "LIBSVM refuses the settings (C -1, tolerance 0.001): C <= 0");
  EXPECT_SAYS(fit_svm(K, labels, 3), "of 3 classes only some occur");
  EXPECT_SAYS(fit_svm(K, labels * 0, 2), "all examples are of class 0");
  EXPECT_SAYS(fit_svm(K, labels, 2).probabilities(K_new), "fitted without probabilities");
  EXPECT_SAYS(fit_svm(K, labels, 2).predict(K_new.narrow(1, 0, 20)), "[queries, 30] is expected");
  EXPECT_SAYS(fit_svm(K, labels, 2, {.machine = {.memory = 1000}}), "3 matrices");
}

}  // namespace
}  // namespace pathkernel
