// A sweep that is stopped after any stretch and goes on from what was kept writes the same files, bit for bit.

#include <gtest/gtest.h>
#include <pathkernel/core/files.h>
#include <pathkernel/data/batch_order.h>
#include <pathkernel/data/safetensors.h>
#include <pathkernel/explain/ledger_file.h>
#include <pathkernel/sweep/query_sets.h>

#include <functional>
#include <optional>
#include <set>
#include <stdexcept>

#include "sweep/small_runs.h"

namespace pathkernel {
namespace {

using testing::Scratch;

struct Stopped : std::runtime_error {
  Stopped() : std::runtime_error("stopped") {}
};

/// Keeps the state in a file, after every stretch, and stops the sweep after the last of `stretches`.
class StopAfter : public SweepKeeper {
 public:
  StopAfter(std::string path, int64_t stretches) : path_(std::move(path)), left_(stretches) {}
  bool due() override { return true; }
  void keep(const SweepState& state) override {
    write_safetensors(path_, state.tensors());
    kept_.reset();
    if (--left_ == 0) throw Stopped();
  }
  const SweepState* kept() const override { return kept_ ? &*kept_ : nullptr; }
  void read() { kept_.emplace(read_safetensors(path_).tensors); }
  void go_on_for(int64_t stretches) { left_ = stretches; }

 private:
  std::string path_;
  int64_t left_;
  std::optional<SweepState> kept_;
};

struct Case {
  std::string name;
  OptimizerSettings optimizer = {.name = "adamw", .lr = 0.03, .weight_decay = 0.2};
  std::function<void(SweepOptions&)> options = [](SweepOptions&) {};
  double ema = 0;
  int64_t accumulate = 1;
  std::string network = "mlp:5-6-3";
  std::vector<int64_t> shape = {5};
  bool sets = false;
};

std::vector<Case> cases() {
  std::vector<Case> all;
  const std::set<std::string> some = {"sgdw", "heavy_ball_decay", "adamw", "rmsprop_momentum_decay", "lion_decay"};
  for (const testing::NamedOptimizer& named : testing::all_optimizers())
    if (some.contains(named.name)) all.push_back({named.name, named.settings});
  all.push_back({"gauss", {}, [](SweepOptions& o) { o.rule = GradientRule::parse("gauss:2", 1); }});
  all.push_back({"ledger_convention", {.lr = 0.2, .momentum = 0.9, .weight_decay = 0.1}, [](SweepOptions& o) { o.convention = Convention::ledger; }});
  all.push_back({"stride", {.lr = 0.1, .momentum = 0.9}, [](SweepOptions& o) { o.stride = 2; }});
  all.push_back({"window", {.lr = 0.1, .momentum = 0.9}, [](SweepOptions& o) { o.from = 2, o.until = 11; }});
  all.push_back({"average", {.lr = 0.1, .momentum = 0.9, .weight_decay = 0.1}, [](SweepOptions&) {}, 0.9});
  all.push_back({"accumulate", {.name = "adam", .lr = 0.02}, [](SweepOptions&) {}, 0, 2});
  all.push_back({"largest_kept", {.lr = 0.1, .momentum = 0.9}, [](SweepOptions& o) { o.keep = 4; }});
  all.push_back({"coupled", {.lr = 0.05, .momentum = 0.9, .weight_decay = 0.01}, [](SweepOptions& o) { o.statistics = true; }, 0, 1, "resnet:2-4-5-3", {2, 6, 5}});
  all.push_back({.name = "sets", .optimizer = {.lr = 0.1, .momentum = 0.9, .weight_decay = 0.1}, .sets = true});
  all.push_back({"single", {.lr = 0.1, .momentum = 0.9, .weight_decay = 0.1}, [](SweepOptions& o) { o.precision = at::kFloat; }});
  return all;
}

std::string saved(Ledger ledger, const std::string& folder) {
  ledger.settings.recording = "run";
  save(ledger, folder);
  return read_file(folder + "/ledger.json") + read_file(folder + "/ledger.safetensors");
}

class ResumedSweep : public ::testing::TestWithParam<Case> {};

TEST_P(ResumedSweep, WritesTheSameLedger) {
  const Case& c = GetParam();
  Dataset data = testing::random_classes(18, c.shape, 3, 11);
  Manifest manifest = testing::manifest(c.optimizer, "cross-entropy", 7);
  manifest.ema = c.ema;
  manifest.accumulate = c.accumulate;
  const bool single = c.name == "single";
  if (single) data.inputs = data.inputs.to(at::kFloat);
  const testing::RecordedRun run(testing::network(c.network, "tanh", single ? at::kFloat : at::kDouble), data, manifest, shuffled_batches(18, 7, 4, 5));
  Queries queries = testing::first_inputs(data, c.sets ? 8 : 3);
  if (c.sets) {
    queries.sets = {mean_of("all", at::arange(8, at::kLong)), mean_of("even", at::arange(0, 8, 2, at::kLong)),
                    {"contrast", at::tensor({1, 6}, at::kLong), at::tensor({1.0, -2.0}, at::kDouble)}};
  }
  SweepOptions options = testing::in_double("logits");
  c.options(options);
  // The least memory that is enough, about: several chunks.
  int64_t total = 0;
  for (options.memory = 1 << 13;; options.memory += options.memory / 4) {
    try {
      run.explain(queries, options, [&](const std::string&, int64_t, int64_t steps) { total = steps; });
      break;
    } catch (const InvalidInput&) {
      ASSERT_LT(options.memory, 1 << 26);
    }
  }
  EXPECT_GE(total, 2 * (options.until < 0 ? 12 : 9)) << "one chunk only";

  const Scratch scratch;
  const std::string whole = saved(run.explain(queries, options), scratch.path("whole"));
  int64_t stop = 1;
  for (bool finished = false; !finished; ++stop) {
    const std::string name = std::to_string(stop);
    StopAfter keeper(scratch.path("state" + name), stop);
    options.keeper = &keeper;
    try {
      EXPECT_EQ(saved(run.explain(queries, options), scratch.path("unstopped" + name)), whole) << "keeping its state changed it";
      finished = true;
    } catch (const Stopped&) {
      keeper.read();
      keeper.go_on_for(-1);
      EXPECT_EQ(saved(run.explain(queries, options), scratch.path("resumed" + name)), whole) << "stopped after stretch " << stop;
    }
  }
  EXPECT_GT(stop, 5);
}

INSTANTIATE_TEST_SUITE_P(All, ResumedSweep, ::testing::ValuesIn(cases()), [](const auto& info) { return info.param.name; });

TEST(ResumedSweep, OfAnotherSweepIsRefused) {
  const Dataset data = testing::random_classes(18, {5}, 3, 11);
  const testing::RecordedRun run(testing::network("mlp:5-6-3", "tanh"), data, testing::manifest({}, "cross-entropy", 7), shuffled_batches(18, 7, 4, 5));
  const Scratch scratch;
  StopAfter keeper(scratch.path("state"), 1);
  SweepOptions options = testing::in_double("log-odds");
  options.keeper = &keeper;
  EXPECT_THROW(run.explain(testing::first_inputs(data, 4), options), Stopped);
  keeper.read();
  EXPECT_REFUSED(InvalidInput, "another number of inputs per chunk", run.explain(testing::first_inputs(data, 3), options));
  options.until = 9;
  EXPECT_REFUSED(CorruptData, "'ledger/draws'", run.explain(testing::first_inputs(data, 4), options));
}

}  // namespace
}  // namespace pathkernel
