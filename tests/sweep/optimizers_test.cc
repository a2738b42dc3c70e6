// Every optimizer trained in float32: complete in both precisions, its linear form within rounding at every step (checked by the sweep).

#include <ATen/ops/arange.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/stack.h>
#include <gtest/gtest.h>
#include <pathkernel/data/batch_order.h>
#include <pathkernel/explain/agreement.h>

#include "sweep/small_runs.h"

namespace pathkernel {
namespace {

double largest(const Tensor& t) { return t.abs().max().item<double>(); }

class EachOptimizer : public ::testing::TestWithParam<testing::NamedOptimizer> {};

TEST_P(EachOptimizer, IsCompleteWhenTrainedInFloat32) {
  Dataset data = testing::random_classes(40, {5}, 3, 1);
  data.inputs = data.inputs.to(at::kFloat);
  const testing::RecordedRun run(testing::network("mlp:5-32-32-3", "relu", at::kFloat), data, testing::manifest(GetParam().settings, "cross-entropy", 7),
                                 shuffled_batches(40, 7, 5, 3));
  const Queries queries = testing::first_inputs(run.data(), 6);
  for (const at::ScalarType precision : {at::kFloat, at::kDouble}) {
    for (const Convention convention : {Convention::propagate, Convention::ledger}) {
      SCOPED_TRACE(precision == at::kFloat ? "evaluated in float32" : "evaluated in float64");
      SweepOptions options = testing::in_double("log-odds");
      options.precision = precision;
      options.convention = convention;
      options.strict = true;  // restored states go on with the same bits
      const Ledger ledger = run.explain(queries, options);
      EXPECT_LE(largest(ledger.certificate.residual_to_contributions), precision == at::kFloat ? 1e-6 : 1e-12);
      EXPECT_TRUE(ledger.certificate.replay_exact);
      EXPECT_EQ(first_disagreement(ledger), "");
    }
  }
}

// y = W + b at x = 1, the second example's targets such that c = β1 m + (1−β1) g is all but zero at its step: D∘m and E∘u are then thousands of
// times the update, and what float32 leaves of them is no error of the form.
TEST(Lion, MayCancel) {
  const OptimizerSettings lion = {.name = "lion", .lr = 0.1, .beta1 = 0.9, .beta2 = 0.99};
  const testing::MakeModel make = testing::network("mlp:1-8", "relu", at::kFloat);
  const Tensors w = values(make()->parameters());
  const Tensor untrained = (w[0].flatten() + w[1]).detach().to(at::kDouble), gap = at::arange(8, at::kDouble) * 0.1 + 1;  // g is in proportion to y − target
  const double ratio = lion.beta1 * (1 - lion.beta2) / (1 - lion.beta1);
  Dataset data;
  data.name = "cancelling";
  data.inputs = at::ones({2, 1}, at::kFloat);
  data.targets = at::stack({untrained - gap, untrained - 2 * lion.lr + ratio * gap}).to(at::kFloat);
  const testing::RecordedRun run(make, data, testing::manifest(lion, "mse", 1), {testing::batch({0}), testing::batch({1})});
  const Ledger ledger = run.explain(testing::first_inputs(data, 2), testing::in_double("output:0"));
  EXPECT_EQ(first_disagreement(ledger), "");
}

INSTANTIATE_TEST_SUITE_P(All, EachOptimizer, ::testing::ValuesIn(testing::all_optimizers()), [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace pathkernel
