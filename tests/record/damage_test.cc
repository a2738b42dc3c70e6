// Every file of a recording, truncated and with flipped bits: each outcome is an error that names the recording's file, or what was
// written.
#include <pathkernel/core/error.h>

#include <fmt/format.h>
#include <damage.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <record/small_recording.h>
#include <scratch.h>

#include <filesystem>
#include <map>

namespace pathkernel {
namespace {

namespace fs = std::filesystem;
using testing::damage;
using testing::killed_at;
using testing::small_run;
using testing::some_data;
using testing::some_model;

const testing::SmallRun settings = {.optimizer = {.lr = 0.1, .momentum = 0.9}};

/// Every number that the recording gives, by name.
std::map<std::string, std::string> everything(const std::string& folder) {
  std::map<std::string, std::string> all;
  const Recording recording = Recording::open(folder);
  all["manifest"] = format::to_json(recording.manifest()).dump();
  all["status"] = format::status_name(recording.status());
  all["initial hash"] = hex(recording.initial_hash());
  all["plan"] = hex(hash_of(recording.planned_batches()));
  for (int64_t s = 0; s < recording.steps(); ++s) {
    const StepRecord r = recording.step(s);
    all[fmt::format("step {}", s)] = fmt::format("{} {} {} {} {}", hex(r.random_seed), r.lr, r.loss, hex(r.hash), hex(hash_of({r.indices})));
  }
  for (const int64_t s : recording.checkpoint_steps()) all[fmt::format("checkpoint {}", s)] = hex(hash_of(values(format::flatten(recording.checkpoint(s)))));
  return all;
}

struct Outcomes {
  int refused = 0, right = 0;
};

/// The list of checkpoints may lose some, from whose states the log leads on; everything else is as it was.
/// @param whole  false: the recording was killed, and may also come out as of an earlier commit
void read(const std::string& folder, const std::map<std::string, std::string>& original, bool whole, const std::string& what, Outcomes& outcomes) {
  std::map<std::string, std::string> found;
  try {
    found = everything(folder);
  } catch (const InvalidInput& error) {
    EXPECT_NE(std::string(error.what()).find(folder), std::string::npos) << what << ": " << error.what();
    ++outcomes.refused;
    return;
  }
  ++outcomes.right;
  for (const auto& [name, value] : original)
    EXPECT_TRUE(!whole || name.starts_with("checkpoint ") || found.contains(name)) << what << ": " << name;
  for (const auto& [name, value] : found) {
    ASSERT_TRUE(original.contains(name)) << what << ": " << name;
    EXPECT_EQ(original.at(name), value) << what << ": " << name;
  }
}

TEST(Damage, OfACompleteRecordingIsFound) {
  const testing::Scratch scratch;
  small_run(scratch.path("run"), settings);
  const auto original = everything(scratch.path("run"));
  Outcomes outcomes;
  damage(scratch.path("run"), 200, 20, [&](const std::string& what) { read(scratch.path("run"), original, true, what, outcomes); });
  EXPECT_GT(outcomes.refused, 500);
  EXPECT_GT(outcomes.right, 10);  // parts of the database that hold nothing
}

TEST(Damage, OfAKilledRecordingIsFoundOrUndone) {
  const testing::Scratch scratch;
  killed_at(scratch.path("killed"), scratch.path("run"), settings, 10);
  const auto original = everything(scratch.path("killed"));
  killed_at(scratch.path("again"), scratch.path("run2"), settings, 10);  // reading folded the log of the first one in
  ASSERT_TRUE(fs::exists(scratch.path("again/recording.sqlite-wal")));
  Outcomes outcomes;
  damage(scratch.path("again"), 150, 20, [&](const std::string& what) { read(scratch.path("again"), original, false, what, outcomes); });
  EXPECT_GT(outcomes.refused, 100);
  EXPECT_GT(outcomes.right, 50);
}

TEST(Damage, NeverChangesWhereAResumedRunEnds) {
  const testing::Scratch scratch;
  killed_at(scratch.path("killed"), scratch.path("run"), settings, 10);
  const auto original = everything(scratch.path("run"));
  Outcomes outcomes;
  damage(scratch.path("killed"), 12, 5, [&](const std::string& what) {
    try {
      const auto model = some_model();
      resume_run(scratch.path("killed"), *model, some_data());
    } catch (const InvalidInput&) {
    }
    std::map<std::string, std::string> after;
    try {
      after = everything(scratch.path("killed"));
    } catch (const InvalidInput& error) {
      ++outcomes.refused;
      return;
    }
    if (after["status"] != "complete") return void(++outcomes.refused);
    EXPECT_EQ(after, original) << what;
    ++outcomes.right;
  });
  EXPECT_GT(outcomes.refused, 5);
  EXPECT_GT(outcomes.right, 5);
}

}  // namespace
}  // namespace pathkernel
