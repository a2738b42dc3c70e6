#include <pathkernel/core/error.h>
#include <pathkernel/core/files.h>
#include <pathkernel/record/replay.h>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <record/small_recording.h>
#include <scratch.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <set>

#include "sweep/small_runs.h"

namespace pathkernel {
namespace {

namespace fs = std::filesystem;
using testing::change_step;
using testing::small_run;
using testing::SmallRun;
using testing::some_data;
using testing::some_model;

constexpr int64_t T = 14;
const OptimizerSettings with_state = {.name = "adamw", .lr = 0.01, .weight_decay = 0.1, .schedule = "cosine"};

StopRequest at_step(int64_t s) {
  return [s, made = int64_t(0)]() mutable { return made++ == s; };
}

RunOutcome resume(const std::string& folder, const Progress& progress = {}, const StopRequest& stop = {}) {
  const auto model = make_model("mlp:6-8-3", "tanh", 99, at::kFloat);  // other weights, to be overwritten
  return resume_run(folder, *model, some_data(), progress, stop);
}

/// Everything in the recording that a run determines: the log, the files by name.
std::map<std::string, std::string> contents(const std::string& folder) {
  std::map<std::string, std::string> all;
  const Recording recording = Recording::open(folder);
  all["status"] = format::status_name(recording.status());
  for (int64_t s = 0; s < recording.steps(); ++s) all[fmt::format("step {:02d}", s)] = hex(format::checksum(recording.step(s)));
  all["checkpoints"] = fmt::format("{}", recording.checkpoint_steps().size());
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    const bool tensors = entry.path().extension() == ".safetensors";
    all["file " + fs::relative(entry.path(), folder).string()] = tensors ? hex(hash_of_bytes(read_file(entry.path()))) : "";
  }
  return all;
}

class InterruptedAt : public ::testing::TestWithParam<int64_t> {};

TEST_P(InterruptedAt, GoesOnToTheSameBits) {
  const testing::Scratch scratch;
  for (const bool shuffled : {true, false}) {
    const std::string whole = scratch.path(fmt::format("whole{}", shuffled)), run = scratch.path(fmt::format("run{}", shuffled));
    small_run(whole, {.optimizer = with_state, .shuffled = shuffled});
    const RunOutcome first = small_run(run, {.optimizer = with_state, .stop = at_step(GetParam()), .shuffled = shuffled});
    EXPECT_EQ(first.status, RunStatus::running);
    EXPECT_EQ(first.steps, GetParam());
    EXPECT_EQ(Recording::open(run).steps(), GetParam());
    EXPECT_EQ(Recording::open(run).status(), RunStatus::running);
    const RunOutcome outcome = resume(run);
    EXPECT_EQ(outcome.status, RunStatus::complete);
    EXPECT_EQ(outcome.first_step, GetParam());
    EXPECT_EQ(outcome.steps, T);
    EXPECT_EQ(contents(run), contents(whole));
  }
}

INSTANTIATE_TEST_SUITE_P(EveryStep, InterruptedAt, ::testing::Range<int64_t>(0, T));


TEST(Resume, GoesOnAfterAKillAtAnyStep) {
  const testing::Scratch scratch;
  for (int64_t step = 0; step <= T; ++step) {
    const std::string run = scratch.path(fmt::format("run{}", step)), killed = scratch.path(fmt::format("killed{}", step));
    testing::killed_at(killed, run, {.optimizer = with_state}, step);
    if (step < T) {
      EXPECT_EQ(Recording::open(killed).status(), RunStatus::running);
    }
    EXPECT_EQ(resume(killed).status, RunStatus::complete);
    EXPECT_EQ(contents(killed), contents(run)) << "killed at step " << step;
  }
}

TEST(Resume, KnowsEveryOptimizersState) {
  const testing::Scratch scratch;
  for (const testing::NamedOptimizer& named : testing::all_optimizers()) {
    const std::string whole = scratch.path(named.name + "-whole"), run = scratch.path(named.name);
    SmallRun settings{.optimizer = named.settings, .ema = 0.9, .accumulate = 2};
    small_run(whole, settings);
    settings.stop = at_step(6);
    small_run(run, settings);
    EXPECT_EQ(resume(run).status, RunStatus::complete);
    EXPECT_EQ(contents(run), contents(whole)) << named.name;
  }
}

TEST(Resume, IsInterruptedAndResumedAgain) {
  const testing::Scratch scratch;
  small_run(scratch.path("whole"), {.optimizer = with_state});
  small_run(scratch.path("run"), {.optimizer = with_state, .stop = at_step(2)});
  int64_t resumed = 0;
  while (resume(scratch.path("run"), {}, at_step(5)).status == RunStatus::running) ASSERT_LT(++resumed, 20);
  EXPECT_GT(resumed, 2);
  EXPECT_EQ(contents(scratch.path("run")), contents(scratch.path("whole")));
}

TEST(Resume, RepeatsAStepAlthoughACheckpointIsAtTheEndOfTheLog) {
  const testing::Scratch scratch;
  small_run(scratch.path("run"), {.optimizer = with_state, .stop = at_step(8)});
  ASSERT_EQ(Recording::open(scratch.path("run")).checkpoint_steps().back(), 8);
  change_step(scratch.path("run"), 7, [](StepRecord& record) { record.lr *= 1.5; });
  EXPECT_REFUSED(ReplayMismatch, "step 7 of 14", resume(scratch.path("run")));
}

TEST(Resume, LeavesACompleteRunAsItIs) {
  const testing::Scratch scratch;
  small_run(scratch.path("run"), {});
  const std::string before = read_file(scratch.path("run/recording.sqlite"));
  const RunOutcome outcome = resume(scratch.path("run"));
  EXPECT_EQ(outcome.status, RunStatus::complete);
  EXPECT_EQ(outcome.first_step, T);
  EXPECT_EQ(read_file(scratch.path("run/recording.sqlite")), before);
}

TEST(Resume, RefusesADivergedRunAndNamesTheStep) {
  const testing::Scratch scratch;
  const RunOutcome outcome = small_run(scratch.path("run"), {.optimizer = {.lr = 1e38}});
  ASSERT_EQ(outcome.status, RunStatus::diverged);
  EXPECT_REFUSED(InvalidInput, fmt::format("diverged at step {} of 14", outcome.steps), resume(scratch.path("run")));
}

TEST(Resume, RefusesOtherData) {
  const testing::Scratch scratch;
  small_run(scratch.path("run"), {.stop = at_step(5)});
  Dataset data = some_data();
  data.inputs[3][2] += 1;
  const auto model = some_model();
  EXPECT_REFUSED(InvalidInput, "fingerprint", resume_run(scratch.path("run"), *model, data));
  EXPECT_EQ(Recording::open(scratch.path("run")).steps(), 5);
}

TEST(Resume, RefusesAPlanThatWasChanged) {
  const testing::Scratch scratch;
  small_run(scratch.path("run"), {.stop = at_step(5)});
  testing::run_sql(scratch.path("run/recording.sqlite"), "UPDATE planned SET indices=(SELECT indices FROM planned WHERE step=9) WHERE step=10");
  EXPECT_REFUSED(CorruptData, "are not those that the run began with", resume(scratch.path("run")));
}

TEST(Resume, OnlyOneWritesAndReadersLookOn) {
  const testing::Scratch scratch;
  const std::string run = scratch.path("run");
  int64_t seen = -1;
  small_run(run, {.progress = [&](const std::string&, int64_t s, int64_t) {
    if (s != 6) return;
    EXPECT_REFUSED(InvalidInput, run + ": another process is recording here", resume(run));
    EXPECT_REFUSED(InvalidInput, run + ": another process is recording here", small_run(run, {}));
    seen = Recording::open(run).steps();
  }});
  EXPECT_GE(seen, 4);  // committed with the checkpoint of step 4
  EXPECT_EQ(resume(run).status, RunStatus::complete);  // the lock is given back
}

TEST(Resume, RemovesWhatAKilledCheckpointLeft) {
  const testing::Scratch scratch;
  small_run(scratch.path("run"), {.stop = at_step(5)});
  std::ofstream(scratch.path("run/checkpoints/step-00000008.safetensors.part-77-0")) << "half";
  resume(scratch.path("run"));
  EXPECT_FALSE(fs::exists(scratch.path("run/checkpoints/step-00000008.safetensors.part-77-0")));
}

TEST(Recorder, TakesOverWhatAKilledStartLeft) {
  const testing::Scratch scratch;
  fs::create_directories(scratch.path("run/checkpoints"));
  std::ofstream(scratch.path("run/recording.sqlite.new")) << "half";
  std::ofstream(scratch.path("run/recording.sqlite.new-journal")) << "half";
  std::ofstream(scratch.path("run/checkpoints/step-00000000.safetensors.part-77-0")) << "half";
  EXPECT_REFUSED(InvalidInput, "is no recording", Recording::open(scratch.path("run")));
  small_run(scratch.path("run"), {});
  small_run(scratch.path("whole"), {});
  EXPECT_EQ(contents(scratch.path("run")), contents(scratch.path("whole")));
}

TEST(Recorder, TakesNoFolderOverThatHoldsAnythingElse) {
  const testing::Scratch scratch;
  fs::create_directories(scratch.path("run/checkpoints"));
  std::ofstream(scratch.path("run/checkpoints/epoch-1.pt")) << "precious";
  EXPECT_REFUSED(InvalidInput, "not empty", small_run(scratch.path("run"), {}));
  EXPECT_EQ(read_file(scratch.path("run/checkpoints/epoch-1.pt")), "precious");
}

TEST(Recorder, LeavesNothingWhereItCannotBegin) {
  const testing::Scratch scratch;
  std::ofstream(scratch.path("file")) << "";
  EXPECT_REFUSED(InvalidInput, "cannot be made", small_run(scratch.path("file/deep/run"), {}));
  EXPECT_REFUSED(InvalidInput, "/proc/nowhere", small_run("/proc/nowhere/run", {}));
  std::set<std::string> left;
  for (const auto& entry : fs::directory_iterator(scratch.path())) left.insert(entry.path().filename());
  EXPECT_EQ(left, std::set<std::string>{"file"});
}

}  // namespace
}  // namespace pathkernel
