// Runs that were trained without some of their examples: those have no contributions, and the account is complete without them.

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <pathkernel/data/batch_order.h>
#include <pathkernel/explain/agreement.h>

#include "sweep/small_runs.h"
#include "tangent/function_model.h"

namespace pathkernel {
namespace {

using testing::RecordedRun;

double largest(const Tensor& t) { return t.abs().max().item<double>(); }

const std::vector<int64_t> gone = {0, 4, 5, 11, 16};
Tensor gone_rows() { return at::tensor(gone, at::kLong); }

Manifest without(const OptimizerSettings& optimizer, int64_t batch, bool renormalise = false) {
  Manifest manifest = testing::manifest(optimizer, "cross-entropy", batch);
  manifest.dropped = gone;
  manifest.renormalise = renormalise;
  return manifest;
}

void expect_complete_without(const Ledger& ledger, double share) {
  EXPECT_LE(largest(ledger.certificate.residual_to_contributions), share);
  EXPECT_EQ(first_disagreement(ledger), "");
  EXPECT_TRUE(ledger.certificate.replay_exact);
  EXPECT_EQ(largest(ledger.contributions.index_select(0, gone_rows())), 0) << "exactly";
  EXPECT_GT(ledger.contributions.abs().sum(1).ne(0).sum().item<int64_t>(), ledger.example_count() - 1 - int64_t(gone.size()));
}

class WithoutSome : public ::testing::TestWithParam<testing::NamedOptimizer> {};

// Invariant 3 is asserted at every step on the way (SweepOptions::check).
TEST_P(WithoutSome, TheyContributeNothingAndTheRestIsComplete) {
  for (const bool renormalise : {false, true}) {
    Manifest manifest = without(GetParam().settings, 6, renormalise);
    manifest.accumulate = 2;
    manifest.ema = 0.9;
    manifest.regulariser = "l2:0.01";
    const RecordedRun run(testing::network("mlp:5-8-3", "tanh"), testing::random_classes(18, {5}, 3, 1), manifest, shuffled_batches(18, 6, 3, 3));
    expect_complete_without(run.explain(testing::first_inputs(run.data(), 4), testing::in_double("log-odds")), 1e-12);
  }
}

INSTANTIATE_TEST_SUITE_P(All, WithoutSome, ::testing::ValuesIn(testing::all_optimizers()), [](const auto& info) { return info.param.name; });

/// Batches without the dropped examples: what a run that never saw them draws.
std::vector<Tensor> thinned(const std::vector<Tensor>& batches) {
  std::vector<Tensor> thin;
  for (const Tensor& batch : batches) thin.push_back(batch.masked_select(at::isin(batch, gone_rows()).logical_not()));
  return thin;
}

TEST(Without, RenormalisedItIsTheRunThatNeverDrewThem) {
  const auto batches = shuffled_batches(18, 6, 3, 3);
  const OptimizerSettings optimizer{.name = "adamw", .lr = 0.02, .weight_decay = 0.1};
  const Dataset data = testing::random_classes(18, {5}, 3, 1);
  const RecordedRun dropped(testing::network("mlp:5-8-3", "tanh"), data, without(optimizer, 6, true), batches);
  const RecordedRun never(testing::network("mlp:5-8-3", "tanh"), data, testing::manifest(optimizer, "cross-entropy", 6), thinned(batches));
  const Queries queries = testing::first_inputs(data, 4);
  const Ledger a = dropped.explain(queries, testing::in_double("log-odds")), b = never.explain(queries, testing::in_double("log-odds"));
  EXPECT_LE(largest(a.final - b.final), 1e-12);
  EXPECT_LE(largest(a.contributions - b.contributions), 1e-11);
  EXPECT_GT(largest(a.contributions), 0.01);
}

TEST(Without, WithTheDenominatorsKeptTheOthersWeighWhatTheyDid) {
  const auto batches = shuffled_batches(18, 18, 3, 3);  // whole batches: 1/18 each, of 13 that stay
  const Dataset data = testing::random_classes(18, {5}, 3, 1);
  const RecordedRun kept(testing::network("mlp:5-8-3", "tanh"), data, without({.lr = 0.2}, 18), batches);
  const RecordedRun scaled(testing::network("mlp:5-8-3", "tanh"), data, without({.lr = 0.2 * 13 / 18}, 18, true), batches);
  const Queries queries = testing::first_inputs(data, 4);
  EXPECT_LE(largest(kept.explain(queries, testing::in_double("log-odds")).contributions - scaled.explain(queries, testing::in_double("log-odds")).contributions), 1e-12);
}

TEST(Without, BatchNormStillSeesThem) {
  Dataset data = testing::random_classes(18, {2, 6, 5}, 3, 1);
  const auto batches = shuffled_batches(18, 9, 3, 3);
  const RecordedRun run(testing::network("resnet:2-4-5-3", "relu"), data, without({.lr = 0.05, .momentum = 0.9}, 9, true), batches);
  const Queries queries = testing::first_inputs(data, 4);
  const Ledger ledger = run.explain(queries, testing::in_double("log-odds"));
  EXPECT_TRUE(ledger.settings.coupled);
  expect_complete_without(ledger, 1e-10);
  const RecordedRun never(testing::network("resnet:2-4-5-3", "relu"), data, testing::manifest({.lr = 0.05, .momentum = 0.9}, "cross-entropy", 9), thinned(batches));
  EXPECT_GT(largest(ledger.final - never.explain(queries, testing::in_double("log-odds")).final), 1e-3) << "the statistics are over all that were drawn";
}

// Coupled in a way that only weighing the losses shows, and the first batch has weight zero.
TEST(Without, CouplingIsFoundInABatchOfThem) {
  const auto net = []() -> std::unique_ptr<Model> {
    at::manual_seed(1);
    return std::make_unique<testing::FunctionModel>(NamedTensors{{"w", at::randn({3, 5}, at::kDouble)}}, NamedTensors{}, [](const Tensors& w, const Tensors&, const Tensor& x, Mode mode) {
      const Tensor y = at::linear(x, w[0]);
      return mode == Mode::train ? y + at::flip(y, {0}) * 0.5 : y;
    });
  };
  const std::vector<Tensor> batches = {testing::batch({0, 4, 5}), testing::batch({1, 2, 3}), testing::batch({6, 11, 8})};
  const RecordedRun run(net, testing::random_classes(18, {5}, 3, 1), without({.lr = 0.1}, 3), batches);
  const Ledger ledger = run.explain(testing::first_inputs(run.data(), 2), testing::in_double("log-odds"));
  EXPECT_TRUE(ledger.settings.coupled);
  EXPECT_LE(largest(ledger.certificate.residual_to_contributions), 1e-12);
  EXPECT_EQ(largest(ledger.contributions.index_select(0, gone_rows())), 0);
}

}  // namespace
}  // namespace pathkernel
