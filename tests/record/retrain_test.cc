// A recorded run repeated: with the same data to the same bits, and with other data as a recording of its own.

#include <pathkernel/core/error.h>
#include <pathkernel/data/batch_order.h>
#include <pathkernel/data/relabel.h>
#include <pathkernel/record/format.h>
#include <pathkernel/record/replay.h>
#include <pathkernel/record/retrain.h>

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <scratch.h>
#include <sweep/small_runs.h>

#include <record/small_recording.h>

namespace pathkernel {
namespace {

using testing::Scratch;
using testing::some_data;
using testing::some_model;

std::unique_ptr<Model> model_of(const Recording& recording) { return some_model(recording.manifest().dtype == "double" ? at::kDouble : at::kFloat); }

/// 14 steps with a short batch at the end of each epoch.
void record(const std::string& folder, const TrainingSettings& settings, at::ScalarType dtype = at::kFloat) {
  const Dataset data = some_data();
  Manifest manifest;
  static_cast<TrainingSettings&>(manifest) = settings;
  manifest.batch = 8;
  manifest.epochs = 2;
  manifest.seed = 5;
  const auto model = some_model(dtype);
  record_run(folder, manifest, *model, data, shuffled_batches(data.size(), 8, 2, 5));
}

uint64_t final_hash(const std::string& folder) {
  const Recording recording = Recording::open(folder);
  return recording.step(recording.steps() - 1).hash;
}

RunOutcome retrain(const std::string& from, const std::string& to, const DataChanges& changes, const StopRequest& stop = {}) {
  const Recording original = Recording::open(from);
  const auto model = model_of(original);
  return retrain_run(original, to, *model, relabelled(some_data(), original.manifest().data.relabelled), changes, {}, stop);
}

void expect_replays(const std::string& folder) {
  const Recording recording = Recording::open(folder);
  const auto model = model_of(recording);
  const Verification v = verify(recording, *model, relabelled(some_data(), recording.manifest().data.relabelled));
  EXPECT_EQ(v.first_difference, -1);
  EXPECT_EQ(v.steps, recording.steps());
}

class RetrainedWith : public ::testing::TestWithParam<testing::NamedOptimizer> {};

TEST_P(RetrainedWith, NothingChangedGivesTheSameBits) {
  const Scratch scratch;
  TrainingSettings settings;
  settings.optimizer = GetParam().settings;
  record(scratch.path("run"), settings);
  const RunOutcome outcome = retrain(scratch.path("run"), scratch.path("again"), {});
  EXPECT_EQ(outcome.status, RunStatus::complete);
  EXPECT_EQ(final_hash(scratch.path("run")), final_hash(scratch.path("again")));
}

TEST_P(RetrainedWith, ADroppedExampleIsOutAndTheRunReplays) {
  const Scratch scratch;
  TrainingSettings settings;
  settings.optimizer = GetParam().settings;
  record(scratch.path("run"), settings);
  retrain(scratch.path("run"), scratch.path("without"), {.dropped = {3, 17}});
  EXPECT_NE(final_hash(scratch.path("run")), final_hash(scratch.path("without")));
  expect_replays(scratch.path("without"));
}

INSTANTIATE_TEST_SUITE_P(All, RetrainedWith, ::testing::ValuesIn(testing::all_optimizers()), [](const auto& info) { return info.param.name; });

TEST(Retrain, AccumulationAverageAndRegulariserComeAlong) {
  const Scratch scratch;
  TrainingSettings settings{.regulariser = "l2:0.01", .optimizer = {.lr = 0.1, .momentum = 0.9}, .accumulate = 3, .ema = 0.9};
  record(scratch.path("run"), settings, at::kDouble);
  retrain(scratch.path("run"), scratch.path("again"), {});
  EXPECT_EQ(final_hash(scratch.path("run")), final_hash(scratch.path("again")));
  retrain(scratch.path("run"), scratch.path("without"), {.dropped = {0, 1, 2, 3}, .renormalise = true});
  expect_replays(scratch.path("without"));
  const auto mean = [](const std::string& folder) { return Recording::open(folder).checkpoint(14).average.at(0).tensor; };
  EXPECT_TRUE(at::equal(mean(scratch.path("run")), mean(scratch.path("again"))));
  EXPECT_FALSE(at::equal(mean(scratch.path("run")), mean(scratch.path("without"))));
}

TEST(Retrain, InitialWeightsOfAnywhereComeAlong) {
  const Scratch scratch;
  const Dataset data = some_data();
  const auto model = some_model();
  {
    const at::NoGradGuard no_grad;
    for (const Tensor& w : values(model->parameters())) w.add_(0.1);
  }
  auto batches = shuffled_batches(data.size(), 8, 1, 5);
  batches[1][1] = batches[1][0].clone();  // an order that no seed gives
  record_run(scratch.path("run"), {}, *model, data, batches);
  retrain(scratch.path("run"), scratch.path("again"), {});
  EXPECT_EQ(final_hash(scratch.path("run")), final_hash(scratch.path("again")));
}

TEST(Retrain, TheManifestSaysWhatWasChanged) {
  const Scratch scratch;
  record(scratch.path("run"), {});
  retrain(scratch.path("run"), scratch.path("second"), {.dropped = {3, 17}, .relabelled = {{4, "a"}}});
  retrain(scratch.path("second"), scratch.path("third"), {.dropped = {5}, .renormalise = true, .relabelled = {{4, "b"}}});
  const Manifest second = Recording::open(scratch.path("second")).manifest(), third = Recording::open(scratch.path("third")).manifest();
  EXPECT_EQ(second.dropped, (std::vector<int64_t>{3, 17}));
  EXPECT_FALSE(second.renormalise);
  EXPECT_EQ(second.retrained_from, scratch.path("run"));
  EXPECT_EQ(second.data.relabelled, (std::vector<Relabelling>{{4, "a"}}));
  EXPECT_EQ(third.dropped, (std::vector<int64_t>{3, 5, 17}));
  EXPECT_TRUE(third.renormalise);
  EXPECT_EQ(third.retrained_from, scratch.path("second"));
  EXPECT_EQ(third.data.relabelled, (std::vector<Relabelling>{{4, "a"}, {4, "b"}}));
  expect_replays(scratch.path("third"));
  retrain(scratch.path("third"), scratch.path("fourth"), {});
  EXPECT_EQ(final_hash(scratch.path("third")), final_hash(scratch.path("fourth"))) << "what was changed stays changed";
}

TEST(Retrain, ADroppedExamplesLabelDoesNotMatter) {
  const Scratch scratch;
  record(scratch.path("run"), {});
  retrain(scratch.path("run"), scratch.path("dropped"), {.dropped = {4}});
  for (const char* label : {"a", "b", "c"}) retrain(scratch.path("run"), scratch.path(label), {.dropped = {4}, .relabelled = {{4, label}}});
  for (const char* label : {"a", "b", "c"}) EXPECT_EQ(final_hash(scratch.path("dropped")), final_hash(scratch.path(label)));
}

TEST(Retrain, ALabelGivenBackGivesTheBitsBack) {
  const Scratch scratch;
  record(scratch.path("run"), {});
  const Dataset data = some_data();
  const int64_t was = data.targets[4].item<int64_t>();
  retrain(scratch.path("run"), scratch.path("wrong"), {.relabelled = {{4, data.class_names[(was + 1) % 3]}}});
  EXPECT_NE(final_hash(scratch.path("run")), final_hash(scratch.path("wrong")));
  retrain(scratch.path("wrong"), scratch.path("mended"), {.relabelled = {{4, data.class_names[was]}}});
  EXPECT_EQ(final_hash(scratch.path("run")), final_hash(scratch.path("mended")));
}

TEST(Retrain, AnInterruptedOneIsResumed) {
  const Scratch scratch;
  record(scratch.path("run"), {});
  const DataChanges changes{.dropped = {3, 17}, .renormalise = true, .relabelled = {{4, "a"}}};
  retrain(scratch.path("run"), scratch.path("whole"), changes);
  int asked = 0;
  EXPECT_EQ(retrain(scratch.path("run"), scratch.path("parts"), changes, [&] { return ++asked > 9; }).status, RunStatus::running);
  const auto model = some_model();
  EXPECT_EQ(resume_run(scratch.path("parts"), *model, relabelled(some_data(), changes.relabelled)).status, RunStatus::complete);
  EXPECT_EQ(final_hash(scratch.path("whole")), final_hash(scratch.path("parts")));
}

TEST(Retrain, WhatCannotBeIsRefusedBeforeAFolderIsMade) {
  const Scratch scratch;
  record(scratch.path("run"), {});
  const auto refused = [&](const std::string& part, const DataChanges& changes) {
    EXPECT_REFUSED(InvalidInput, part, retrain(scratch.path("run"), scratch.path("new"), changes));
    EXPECT_FALSE(std::filesystem::exists(scratch.path("new")));
  };
  refused("example 50", {.dropped = {3, 50}});
  refused("example -1", {.dropped = {-1, 3}});
  refused("ascending", {.dropped = {17, 3}});
  refused("none of the classes", {.relabelled = {{3, "d"}}});
  std::vector<int64_t> all(50);
  for (int64_t i = 0; i < 50; ++i) all[i] = i;
  refused("nothing is left", {.dropped = all});
}

TEST(Retrain, RecordingsOfVersionTwoAreRead) {
  const Scratch scratch;
  record(scratch.path("run"), {});
  {
    Database database(scratch.path("run") + "/recording.sqlite", Database::Access::existing);
    for (const char* key : {"text", "standardise", "relabelled", "dropped", "renormalise", "retrained_from"}) database.run(fmt::format("DELETE FROM manifest WHERE key = '{}'", key));
    format::seal(database);
    database.run("PRAGMA user_version=2");
  }
  retrain(scratch.path("run"), scratch.path("again"), {});
  EXPECT_EQ(final_hash(scratch.path("run")), final_hash(scratch.path("again")));
}

}  // namespace
}  // namespace pathkernel
