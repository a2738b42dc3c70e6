#include "synthetic_ledger.h"

#include <pathkernel/core/error.h>
#include <pathkernel/explain/predictions.h>

#include <ATen/TensorOperators.h>
#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>

namespace pathkernel {
namespace {

using test::has;
using test::synthetic_ledger;

/// Its three queries as the logits of one input of two classes, and one of another.
Ledger logits() {
  Ledger l = synthetic_ledger();
  l.settings.measure = "logits";
  l.queries[1].input = l.queries[0].input;
  return l;
}

TEST(Predictions, TheSumIsTheNetworkWithoutTheResidual) {
  const Ledger l = logits();
  const PredictionCheck check = check_predictions(l);
  ASSERT_EQ(check.inputs.size(), 2u);
  EXPECT_EQ(check.inputs[1].query, 2);
  EXPECT_EQ(check.same, 2);
  EXPECT_NEAR(check.largest_difference, l.residual.abs().max().item<double>(), 1e-14);
  EXPECT_DOUBLE_EQ(check.largest_logit, l.final.abs().max().item<double>());
  const int64_t k = l.final[1].item<double>() > l.final[0].item<double>() ? 1 : 0;
  EXPECT_EQ(check.inputs[0].by_network, k);
  EXPECT_NEAR(check.inputs[0].sum, (l.final - l.residual)[k].item<double>(), 1e-14);
}

TEST(Predictions, ASumThatSaysSomethingElseIsCounted) {
  Ledger l = logits();
  l.final.copy_(at::tensor({1., 2., 3.}, at::kDouble));
  l.residual.copy_(at::tensor({0., 1.5, 0.}, at::kDouble));  // without it the second logit is 0.5: class 0 wins
  l.initial = l.final - l.residual - l.change();
  const PredictionCheck check = check_predictions(l);
  EXPECT_EQ(check.inputs[0].by_network, 1);
  EXPECT_EQ(check.inputs[0].by_sum, 0);
  EXPECT_EQ(check.same, 1);
  EXPECT_NEAR(check.largest_difference, 1.5, 1e-12);
  EXPECT_TRUE(has(check.brief(), "same prediction in 1 of 2 inputs"));
}

TEST(Predictions, NeedAllLogits) {
  try {
    check_predictions(synthetic_ledger());
    FAIL() << "a ledger of log-odds was taken";
  } catch (const InvalidInput& e) {
    EXPECT_TRUE(has(e.what(), "measure logits"));
  }
}

}  // namespace
}  // namespace pathkernel
