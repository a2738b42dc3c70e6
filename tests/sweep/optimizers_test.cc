// Every optimizer trained in float32: complete in both precisions, its linear form within rounding at every step (checked by the sweep).

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

INSTANTIATE_TEST_SUITE_P(All, EachOptimizer, ::testing::ValuesIn(testing::all_optimizers()), [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace pathkernel
