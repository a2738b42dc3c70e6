#include <pathkernel/core/error.h>
#include <pathkernel/data/batch_order.h>
#include <pathkernel/model/architectures.h>
#include <pathkernel/record/database.h>
#include <pathkernel/record/record_run.h>
#include <pathkernel/record/replay.h>

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <record/small_recording.h>
#include <scratch.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>

namespace pathkernel {
namespace {

namespace fs = std::filesystem;
using testing::change_step;
using testing::run_sql;
using testing::some_data;
using testing::some_model;

struct Case {
  std::string name;
  OptimizerSettings optimizer;
  at::ScalarType dtype = at::kFloat;
};

std::ostream& operator<<(std::ostream& out, const Case& c) { return out << c.name; }

const std::vector<Case>& cases() {
  static const std::vector<Case> all = {
      {"sgd", {.name = "sgd", .lr = 0.1}},
      {"sgd_double", {.name = "sgd", .lr = 0.1}, at::kDouble},
      {"momentum", {.name = "sgd", .lr = 0.1, .momentum = 0.9}},
      {"dampening_decay", {.name = "sgd", .lr = 0.1, .momentum = 0.9, .dampening = 0.2, .weight_decay = 0.1}},
      {"nesterov_cosine", {.name = "sgd", .lr = 0.1, .momentum = 0.9, .nesterov = true, .schedule = "cosine"}},
      {"adam", {.name = "adam", .lr = 0.01}},
      {"adam_l2", {.name = "adam", .lr = 0.01, .weight_decay = 0.1}, at::kDouble},
      {"adamw", {.name = "adamw", .lr = 0.01, .weight_decay = 0.1}},
  };
  return all;
}

RunOutcome record(const std::string& folder, const OptimizerSettings& optimizer, at::ScalarType dtype = at::kFloat, const Progress& progress = {}) {
  return testing::small_run(folder, {.optimizer = optimizer, .dtype = dtype, .progress = progress});
}

class RecordedWith : public ::testing::TestWithParam<Case> {};

TEST_P(RecordedWith, ReplaysToTheSameHashes) {
  const testing::Scratch scratch;
  const auto outcome = record(scratch.path("run"), GetParam().optimizer, GetParam().dtype);
  EXPECT_EQ(outcome.status, RunStatus::complete);
  const Recording recording = Recording::open(scratch.path("run"));
  EXPECT_EQ(recording.status(), RunStatus::complete);
  ASSERT_EQ(recording.steps(), 14);
  EXPECT_EQ(recording.checkpoint_steps(), (std::vector<int64_t>{0, 4, 8, 12, 14}));

  const auto model = some_model(GetParam().dtype);
  const Dataset data = some_data();
  const Verification verification = verify(recording, *model, data);
  EXPECT_EQ(verification.first_difference, -1);
  EXPECT_EQ(verification.steps, 14);
  EXPECT_EQ(verification.environment_difference, "");

  // From every checkpoint, in any order, as a sweep does.
  Replay replay(recording, *model, data);
  for (const int64_t begin : {12, 8, 4, 0}) {
    replay.restore(begin);
    for (int64_t s = begin; s < std::min<int64_t>(begin + 4, 14); ++s) EXPECT_TRUE(replay.advance().exact) << "step " << s;
  }
}

INSTANTIATE_TEST_SUITE_P(All, RecordedWith, ::testing::ValuesIn(cases()), [](const auto& info) { return info.param.name; });

TEST(Recording, KeepsTheManifest) {
  const testing::Scratch scratch;
  record(scratch.path("run"), {.name = "adamw", .lr = 0.1 + 0.2, .weight_decay = 1e-300});
  const Manifest m = Recording::open(scratch.path("run")).manifest();
  EXPECT_EQ(m.model, "mlp:6-8-3 tanh");
  EXPECT_EQ(m.dtype, "float");
  EXPECT_EQ(m.optimizer.name, "adamw");
  EXPECT_EQ(m.optimizer.lr, 0.1 + 0.2);
  EXPECT_EQ(m.optimizer.weight_decay, 1e-300);
  EXPECT_EQ(m.data_fingerprint, fingerprint(some_data()));
  EXPECT_EQ(m.examples, 50);
  EXPECT_EQ(m.steps, 14);
  EXPECT_EQ(m.checkpoint_every, 4);
  EXPECT_EQ(m.environment.difference(Environment::here()), "");
}

TEST(Recording, KeepsTheReductionAndTheRegulariser) {
  const testing::Scratch scratch;
  Manifest manifest;
  manifest.reduction = "sum";
  manifest.regulariser = "l1:0.001";
  const auto model = some_model();
  record_run(scratch.path("run"), manifest, *model, some_data(), shuffled_batches(50, 8, 1, 5));
  const Manifest kept = Recording::open(scratch.path("run")).manifest();
  EXPECT_EQ(kept.reduction, "sum");
  EXPECT_EQ(kept.regulariser, "l1:0.001");
}

TEST(Recording, LeavesASingleDatabaseFile) {
  const testing::Scratch scratch;
  record(scratch.path("run"), {});
  for (const auto& entry : fs::directory_iterator(scratch.path("run")))
    EXPECT_TRUE(entry.path().filename() == "recording.sqlite" || entry.path().filename() == "checkpoints") << entry.path();
}

TEST(Recording, NamesAnotherEnvironment) {
  Environment here = Environment::here(), there = here;
  EXPECT_EQ(here.difference(there), "");
  there.threads = here.threads + 1;
  there.torch = "2.12.1";
  EXPECT_EQ(here.difference(there), fmt::format("torch {} instead of 2.12.1; threads {} instead of {}", here.torch, here.threads, there.threads));
}

TEST(Recording, IsRefusedWhereThereIsNone) {
  const testing::Scratch scratch;
  EXPECT_REFUSED(InvalidInput, "no such folder", Recording::open(scratch.path("nowhere")));
  EXPECT_REFUSED(InvalidInput, "is no recording", Recording::open(scratch.path()));
  std::ofstream(scratch.path("file")) << "text";
  EXPECT_REFUSED(InvalidInput, "is no folder", Recording::open(scratch.path("file")));
  std::ofstream(scratch.path("recording.sqlite")) << "";
  EXPECT_REFUSED(CorruptData, "is empty", Recording::open(scratch.path()));
  std::ofstream(scratch.path("recording.sqlite")) << std::string(4096, 'x');
  EXPECT_REFUSED(CorruptData, "no SQLite database", Recording::open(scratch.path()));
}

TEST(Recording, RefusesForeignDatabasesAndVersionsByName) {
  const testing::Scratch scratch;
  run_sql(scratch.path("recording.sqlite"), "CREATE TABLE steps(step)");
  EXPECT_REFUSED(InvalidInput, "another program", Recording::open(scratch.path()));
  record(scratch.path("run"), {});
  for (const int version : {oldest_recording_format_version - 1, recording_format_version + 1, 70}) {
    run_sql(scratch.path("run/recording.sqlite"), fmt::format("PRAGMA user_version={}", version));
    EXPECT_REFUSED(CorruptData, fmt::format("format version {}, but this program", version), Recording::open(scratch.path("run")));
  }
}

TEST(Recording, RefusesADatabaseThatWasCutShort) {
  const testing::Scratch scratch;
  record(scratch.path("run"), {});
  const std::string path = scratch.path("run/recording.sqlite");
  fs::resize_file(path, fs::file_size(path) / 2);
  EXPECT_REFUSED(CorruptData, "cut short", Recording::open(scratch.path("run")));
}

TEST(Recording, RefusesALogWithHoles) {
  const testing::Scratch scratch;
  record(scratch.path("run"), {});
  run_sql(scratch.path("run/recording.sqlite"), "DELETE FROM steps WHERE step=3");
  EXPECT_REFUSED(CorruptData, "steps are missing", Recording::open(scratch.path("run")));
  record(scratch.path("end"), {});
  run_sql(scratch.path("end/recording.sqlite"), "DELETE FROM steps WHERE step=13");
  EXPECT_REFUSED(CorruptData, "steps are missing", Recording::open(scratch.path("end")));
}

TEST(Recording, FindsAFlippedBitInACheckpoint) {
  const testing::Scratch scratch;
  record(scratch.path("run"), {});
  const std::string path = scratch.path("run/checkpoints/step-00000008.safetensors");
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekg(-5, std::ios::end);
  const char byte = static_cast<char>(file.get());
  file.seekp(-5, std::ios::end);
  file.put(static_cast<char>(byte ^ 4));
  file.close();
  const Recording recording = Recording::open(scratch.path("run"));
  EXPECT_REFUSED(CorruptData, "step-00000008.safetensors: this checkpoint was changed", recording.checkpoint(8));
  EXPECT_NO_THROW(recording.checkpoint(4));
}

TEST(Recording, FindsAMissingCheckpoint) {
  const testing::Scratch scratch;
  record(scratch.path("run"), {});
  fs::remove(scratch.path("run/checkpoints/step-00000008.safetensors"));
  EXPECT_REFUSED(CorruptData, "step-00000008.safetensors: this checkpoint is missing",
                 Recording::open(scratch.path("run")).checkpoint(8));
}

TEST(Recording, VerifyNamesTheFirstStepThatDiffers) {
  const testing::Scratch scratch;
  record(scratch.path("run"), {});
  change_step(scratch.path("run"), 9, [](StepRecord& record) { record.lr = 0.5; });
  const auto model = some_model();
  EXPECT_EQ(verify(Recording::open(scratch.path("run")), *model, some_data()).first_difference, 9);
}

TEST(Replay, RefusesAnotherModelOrOtherData) {
  const testing::Scratch scratch;
  record(scratch.path("run"), {});
  const Recording recording = Recording::open(scratch.path("run"));
  Dataset data = some_data();
  const auto relu = make_model("mlp:6-8-3", "relu", 4, at::kFloat);
  EXPECT_REFUSED(InvalidInput, "mlp:6-8-3 tanh", Replay(recording, *relu, data));
  const auto model = some_model();
  data.inputs[3][2] += 1;
  EXPECT_REFUSED(InvalidInput, "fingerprint", Replay(recording, *model, data));
  data.inputs = data.inputs.narrow(0, 0, 49);
  data.targets = data.targets.narrow(0, 0, 49);
  EXPECT_REFUSED(InvalidInput, "49 examples", Replay(recording, *model, data));
}

TEST(RecordRun, RefusesAFolderThatIsNotEmpty) {
  const testing::Scratch scratch;
  std::ofstream(scratch.path("something")) << "here";
  EXPECT_REFUSED(InvalidInput, "not empty", record(scratch.path(), {}));
  EXPECT_TRUE(fs::exists(scratch.path("something")));
}

TEST(RecordRun, StopsWhenItDiverges) {
  const testing::Scratch scratch;
  const Dataset data = some_data();
  Manifest manifest;
  manifest.optimizer.lr = 1e38;
  const auto model = some_model();
  const RunOutcome outcome = record_run(scratch.path("run"), manifest, *model, data, shuffled_batches(50, 8, 2, 5));
  EXPECT_EQ(outcome.status, RunStatus::diverged);
  EXPECT_NE(outcome.trouble, "");
  EXPECT_LT(outcome.steps, 14);
  const Recording recording = Recording::open(scratch.path("run"));
  EXPECT_EQ(recording.status(), RunStatus::diverged);
  EXPECT_EQ(recording.steps(), outcome.steps);
  for (int64_t s = 0; s < recording.steps(); ++s) EXPECT_TRUE(std::isfinite(recording.step(s).loss));
  const auto fresh = some_model();
  EXPECT_EQ(verify(recording, *fresh, data).first_difference, -1);
}

TEST(RecordRun, AnExceptionLeavesAnInterruptedRecording) {
  const testing::Scratch scratch;
  const auto stop = [](const std::string&, int64_t done, int64_t) {
    if (done == 6) throw std::runtime_error("stop");
  };
  EXPECT_THROW(record(scratch.path("run"), {.momentum = 0.9}, at::kFloat, stop), std::runtime_error);
  const Recording recording = Recording::open(scratch.path("run"));
  EXPECT_EQ(recording.status(), RunStatus::running);
  EXPECT_EQ(recording.steps(), 6);
  EXPECT_EQ(recording.checkpoint_steps(), (std::vector<int64_t>{0, 4}));
  const auto model = some_model();
  EXPECT_EQ(verify(recording, *model, some_data()).first_difference, -1);
}

TEST(CheckpointSpacing, IsTheRootUnlessTheBudgetIsSmaller) {
  EXPECT_EQ(checkpoint_spacing(938, 1, 0), 31);
  EXPECT_EQ(checkpoint_spacing(100, 10, 1'000'000), 10);
  EXPECT_EQ(checkpoint_spacing(100, 10, 60), 20);  // 5 intervals, 6 states
  EXPECT_EQ(checkpoint_spacing(100, 10, 1), 100);  // first and last are always kept
  EXPECT_EQ(checkpoint_spacing(1, 10, 0), 1);
}

}  // namespace
}  // namespace pathkernel
