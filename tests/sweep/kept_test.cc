// A ledger that keeps each query's largest contributions, against the whole one.

#include <ATen/ops/sort.h>
#include <gtest/gtest.h>
#include <pathkernel/data/batch_order.h>
#include <pathkernel/explain/agreement.h>

#include "sweep/small_runs.h"

namespace pathkernel {
namespace {

using testing::RecordedRun;

double largest(const Tensor& t) { return t.abs().max().item<double>(); }

RecordedRun some_run() {
  Manifest manifest = testing::manifest({.lr = 0.1, .momentum = 0.9, .weight_decay = 0.01}, "cross-entropy", 7);
  manifest.checkpoint_every = 4;
  return RecordedRun(testing::network("mlp:5-8-8-3", "tanh"), testing::random_classes(18, {5}, 3, 1), manifest, shuffled_batches(18, 7, 4, 3));
}

void expect_largest_of(const Ledger& whole, const Ledger& kept, int64_t K) {
  ASSERT_TRUE(kept.keeps_largest());
  EXPECT_EQ(first_disagreement(kept), "");
  EXPECT_EQ(kept.example_count(), whole.example_count());
  for (const Tensor* absent : {&kept.contributions, &kept.draws, &kept.draw_step, &kept.draw_example, &kept.by_layer_step, &kept.by_class_step}) EXPECT_FALSE(absent->defined());
  const double scale = largest(whole.total_size());
  for (int64_t q = 0; q < whole.query_count(); ++q) {
    const Tensor c = whole.contributions.select(1, q), order = std::get<1>(at::sort(c.abs(), true, 0, true));
    const Shares shares = kept.shares(q);
    EXPECT_TRUE(shares.examples.equal(order.narrow(0, 0, K)));
    EXPECT_LE(largest(shares.values - c.index_select(0, order.narrow(0, 0, K))), 1e-13 * scale);
    const Tensor rest = c.index_select(0, order.narrow(0, K, c.size(0) - K));
    EXPECT_EQ(shares.others(), rest.size(0));
    EXPECT_NEAR(shares.rest, rest.sum().item<double>(), 1e-13 * scale);
    EXPECT_NEAR(shares.rest_size, rest.abs().sum().item<double>(), 1e-13 * scale);
    EXPECT_EQ(kept.queries[size_t(q)].measurement, whole.queries[size_t(q)].measurement);
  }
  for (const auto& [a, b] : {std::pair{whole.total(), kept.total()}, {whole.total_size(), kept.total_size()}, {whole.change(), kept.change()}, {whole.by_step, kept.by_step},
                             {whole.by_layer, kept.by_layer}, {whole.by_class, kept.by_class}, {whole.outputs, kept.outputs}, {whole.decay, kept.decay}})
    EXPECT_LE(largest(a - b), 1e-13 * scale);
  EXPECT_LE(largest(kept.residual), 1e-12 * scale);
  EXPECT_LE(largest(kept.certificate.residual_to_contributions), 1e-12);
}

TEST(Kept, AreTheLargestOfTheWholeLedger) {
  const RecordedRun run = some_run();
  for (const std::string measure : {"log-odds", "logits"}) {
    SCOPED_TRACE(measure);
    const Queries queries = testing::first_inputs(run.data(), 7);
    SweepOptions options = testing::in_double(measure);
    const Ledger whole = run.explain(queries, options);
    EXPECT_FALSE(whole.keeps_largest());
    EXPECT_EQ(whole.shares(0).others(), 0);
    EXPECT_EQ(whole.shares(0).limits(), "");
    options.keep = 5;
    expect_largest_of(whole, run.explain(queries, options), 5);

    SweepPlan plan;  // and in several chunks of queries
    options.planned = [&](const SweepPlan& p) { plan = p; };
    run.explain(queries, options);
    options.memory = std::max(plan.ledger_bytes, plan.trace_bytes + 3 * plan.bytes_per_input());
    const Ledger streamed = run.explain(queries, options);
    EXPECT_GT(plan.chunks, 1);
    expect_largest_of(whole, streamed, 5);
  }
}

TEST(Kept, BeyondTheMostNumbers) {
  const RecordedRun run = some_run();
  const Queries queries = testing::first_inputs(run.data(), 4);
  SweepOptions options = testing::in_double("log-odds");
  const Ledger whole = run.explain(queries, options);
  options.most_numbers = 4 * 2 * 6;
  expect_largest_of(whole, run.explain(queries, options), 6);
}

TEST(Kept, AllOfThem) {
  const RecordedRun run = some_run();
  SweepOptions options = testing::in_double("log-odds");
  options.keep = 1000;
  const Ledger ledger = run.explain(testing::first_inputs(run.data(), 4), options);
  EXPECT_EQ(ledger.kept.size(0), 18);
  EXPECT_EQ(largest(ledger.dropped_size), 0);
  EXPECT_EQ(first_disagreement(ledger), "");
}

TEST(Kept, StrideIsComparedOverThem) {
  const RecordedRun run = some_run();
  const Queries queries = testing::first_inputs(run.data(), 4);
  SweepOptions options = testing::in_double("log-odds");
  options.stride = 3;
  const Tensor of_all = run.explain(queries, options).certificate.stride_deviation;
  options.keep = 18;
  EXPECT_LE(largest(of_all - run.explain(queries, options).certificate.stride_deviation), 1e-12);
  options.keep = 3;
  const Tensor of_three = run.explain(queries, options).certificate.stride_deviation;
  EXPECT_GT(of_three.min().item<double>(), 0);
  EXPECT_LT(largest(of_three), 1);
}

}  // namespace
}  // namespace pathkernel
