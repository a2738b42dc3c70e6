// What is reckoned before a sweep is what the sweep does: chunks, bytes, refusals.

#include <gtest/gtest.h>
#include <pathkernel/core/error.h>
#include <pathkernel/data/batch_order.h>
#include <pathkernel/explain/ledger_file.h>

#include "sweep/small_runs.h"

namespace pathkernel {
namespace {

using testing::RecordedRun;

constexpr int64_t all_numbers = 5 * 8 + 8 + 8 * 8 + 8 + 8 * 3 + 3;  // mlp:5-8-8-3

RecordedRun some_run(OptimizerSettings optimizer) {
  Manifest manifest = testing::manifest(optimizer, "cross-entropy", 7);
  manifest.checkpoint_every = 4;
  return RecordedRun(testing::network("mlp:5-8-8-3", "tanh"), testing::random_classes(18, {5}, 3, 1), manifest, shuffled_batches(18, 7, 4, 3));
}

std::vector<OptimizerSettings> optimizers() { return {{.lr = 0.2}, {.lr = 0.1, .momentum = 0.9}, {.name = "adamw", .lr = 0.01, .weight_decay = 0.1}}; }

SweepPlan plan_of(const RecordedRun& run, const Queries& queries, const SweepOptions& options) {
  const auto model = run.model();
  return plan_sweep(run.open(), *model, run.data(), queries, options);
}

TEST(Plan, ChunksAreThoseOfTheRun) {
  for (const auto& optimizer : optimizers()) {
    for (const int64_t keep : {0, 4}) {
      SCOPED_TRACE(optimizer.name + " keep " + std::to_string(keep));
      const RecordedRun run = some_run(optimizer);
      const Queries queries = testing::first_inputs(run.data(), 11);
      SweepOptions options = testing::in_double("logits");
      options.keep = keep;
      const SweepPlan roomy = plan_of(run, queries, options);
      EXPECT_EQ(roomy.chunks, 1);
      EXPECT_EQ(roomy.inputs_per_chunk, 11);
      options.memory = std::max(roomy.ledger_bytes, roomy.trace_bytes + 4 * roomy.bytes_per_input() + 1);
      const SweepPlan plan = plan_of(run, queries, options);
      EXPECT_LE(plan.trace_bytes + plan.inputs_per_chunk * plan.bytes_per_input(), options.memory);
      if (plan.chunks > 1) {
        EXPECT_GT(plan.trace_bytes + (plan.inputs_per_chunk + 1) * plan.bytes_per_input(), options.memory);
      }

      int64_t total = 0, told = 0;
      options.planned = [&](const SweepPlan& p) {
        told = p.chunks;
        EXPECT_EQ(p.inputs_per_chunk, plan.inputs_per_chunk);
        EXPECT_EQ(p.peak_bytes(), plan.peak_bytes());
        EXPECT_EQ(p.disk_bytes, plan.disk_bytes);
        EXPECT_EQ(total, 0) << "told before the first step";
      };
      run.explain(queries, options, [&](const std::string&, int64_t, int64_t all) { total = all; });
      EXPECT_EQ(told, plan.chunks);
      EXPECT_EQ(total, plan.chunks * plan.sizes.steps);
    }
  }
}

TEST(Plan, SizesAreThoseOfTheLedgerAndItsFiles) {
  const RecordedRun run = some_run({.lr = 0.1, .momentum = 0.9});
  const Queries queries = testing::first_inputs(run.data(), 8);
  for (const int64_t keep : {0, 5}) {
    SweepOptions options = testing::in_double("logits");
    options.keep = keep;
    const SweepPlan plan = plan_of(run, queries, options);
    EXPECT_EQ(plan.sizes.queries, 24);
    EXPECT_EQ(plan.inputs(), 8);
    EXPECT_EQ(plan.sizes.steps, 12);
    EXPECT_EQ(plan.sizes.draws, 4 * 18);
    EXPECT_EQ(plan.parameters, all_numbers);
    EXPECT_EQ(plan.longest_stretch, 4);
    EXPECT_EQ(plan.keep, keep);
    testing::Scratch folder;
    save(run.explain(queries, options), folder.path("ledger"));
    const auto bytes = int64_t(std::filesystem::file_size(folder.path("ledger/ledger.safetensors")) + std::filesystem::file_size(folder.path("ledger/ledger.json")));
    EXPECT_LE(bytes, plan.disk_bytes);
    EXPECT_GE(bytes, plan.disk_bytes / 2);
  }
}

/// Plain SGD keeps nothing; heavy ball a number per parameter and, of the matrices, the last pushes; AdamW memory and decay.
TEST(Plan, StatesOfTheOptimizers) {
  std::vector<int64_t> numbers;
  for (const auto& optimizer : optimizers()) {
    const RecordedRun run = some_run(optimizer);
    numbers.push_back(plan_of(run, testing::first_inputs(run.data(), 1), testing::in_double("logit:0")).adjoint_bytes / 8);
  }
  EXPECT_EQ(numbers[0], 0);
  int64_t pushes = 0;
  for (const auto& [out, in] : {std::pair<int64_t, int64_t>{8, 5}, {8, 8}, {3, 8}}) {
    const MemoryAdjoint::Plan best = MemoryAdjoint::plan(out, in, 7, 1, 0.9, at::kDouble);
    pushes += best.dense_never ? std::max<int64_t>(0, best.lags * (out + in) - out * in) : best.lags * (out + in);
  }
  EXPECT_EQ(numbers[1], all_numbers + pushes);
  EXPECT_EQ(numbers[2], 2 * all_numbers);
}

TEST(Plan, TimeIsAnEstimateFromAFewSteps) {
  const RecordedRun run = some_run({.lr = 0.1, .momentum = 0.9});
  SweepOptions options = testing::in_double("log-odds");
  const SweepPlan plan = plan_of(run, testing::first_inputs(run.data(), 4), options);
  EXPECT_GT(plan.seconds, 0);
  EXPECT_LT(plan.seconds, 60);
  EXPECT_GE(plan.timed_steps, 1);
  EXPECT_LE(plan.timed_steps, 12);
  options.from = 9;
  options.stride = 2;
  EXPECT_LE(plan_of(run, testing::first_inputs(run.data(), 4), options).timed_steps, 3);
}

TEST(Plan, WhatDoesNotFitIsRefusedByPlanAndRunAlike) {
  const RecordedRun run = some_run({.lr = 0.1, .momentum = 0.9});
  const Queries queries = testing::first_inputs(run.data(), 8);
  SweepOptions options = testing::in_double("logits");
  const SweepPlan plan = plan_of(run, queries, options);
  const auto both_refuse = [&](const std::string& part) {
    EXPECT_REFUSED(InvalidInput, part.c_str(), plan_of(run, queries, options));
    EXPECT_REFUSED(InvalidInput, part.c_str(), run.explain(queries, options));
  };
  options.memory = plan.ledger_bytes - 1;
  both_refuse("the ledger of 24 queries over 72 draws");
  both_refuse("(keep ");
  options.keep = 2;
  options.memory = plan.trace_bytes + 1;
  both_refuse("record with more checkpoints");
  options.memory = int64_t(1) << 30;
  options.path_kernel = true;
  options.measure = "logit:0";
  EXPECT_REFUSED(InvalidInput, "one output", plan_of(run, queries, options));
}

TEST(Plan, BeyondTheMostNumbersAsManyAreKeptAsFit) {
  SweepPlan plan;
  plan.sizes = {.queries = 1000, .examples = 60000, .draws = 1'200'000, .steps = 18760, .layers = 5, .classes = 10};
  plan.memory = int64_t(8) << 30;
  const int64_t numbers = 1000 * (60000 + 1'200'000 + 18760 * 15);
  plan.fit_ledger(0, numbers);
  EXPECT_EQ(plan.keep, 0) << "exactly as many are allowed";
  plan.fit_ledger(0, numbers - 1);
  EXPECT_EQ(plan.keep, 60000) << "all examples fit, without the draws";
  plan.fit_ledger(0, 20'000'000);
  EXPECT_EQ(plan.keep, 10000) << "two numbers each";
  plan.memory = 400 << 20;
  plan.fit_ledger(0, 1'000'000'000);
  EXPECT_GT(plan.keep, 1000);
  EXPECT_LE(plan.ledger_bytes, plan.memory);
  EXPECT_GT(plan.ledger_bytes + 1000 * 16, plan.memory);
  EXPECT_NE(plan.brief().find("contributions of each query, the others as a sum"), std::string::npos);
  plan.fit_ledger(77, numbers);
  EXPECT_EQ(plan.keep, 77);
  plan.memory = int64_t(8) << 30;
  plan.fit_ledger(99999, numbers);
  EXPECT_EQ(plan.keep, 60000);
  plan.sizes.more_accounts = 1;
  EXPECT_REFUSED(InvalidInput, "leave out keep", plan.fit_ledger(77, numbers));
  plan.memory = 1 << 20;
  EXPECT_REFUSED(InvalidInput, "allow more", plan.fit_ledger(0, int64_t(1) << 60));
}

}  // namespace
}  // namespace pathkernel
