// What dropped examples had contributed, beside what retraining without them changes.

#include <pathkernel/data/batch_order.h>
#include <pathkernel/explain/comparison.h>
#include <pathkernel/record/retrain.h>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>

#include "sweep/small_runs.h"

namespace pathkernel {
namespace {

using testing::RecordedRun;
using testing::Scratch;

TrainTest classes() {
  TrainTest data{testing::random_classes(18, {5}, 3, 1), testing::random_classes(7, {5}, 3, 2)};
  return data;
}

/// A run, a retraining of it, and what compares the two.
struct Pair {
  explicit Pair(const DataChanges& changes, double epochs = 3, const OptimizerSettings& optimizer = {.lr = 0.2, .momentum = 0.9}, const std::string& net = "mlp:5-8-3")
      : data(classes()),
        run(testing::network(net, "tanh"), data.train, testing::manifest(optimizer, "cross-entropy", 6), shuffled_batches(18, 6, epochs, 3)) {
    const auto model = run.model();
    const Recording original = run.open();
    retrain_run(original, folder.path("other"), *model, data.train, changes);
  }
  Recording other() const { return Recording::open(folder.path("other")); }
  Queries queries(const std::string& which) const { return select_queries(which, data); }
  Ledger ledger(const std::string& which, const std::string& measure = "log-odds") const { return run.explain(queries(which), testing::in_double(measure)); }
  Comparison compare(const std::string& which, const Ledger& ledger) const {
    const auto model = run.model();
    const Tensor own = model->parameters().front().tensor;
    const Comparison c = pathkernel::compare(run.open(), other(), *model, data.train, queries(which), ledger);
    EXPECT_TRUE(model->parameters().front().tensor.is_alias_of(own)) << "whose model it is finds its own weights in it";
    return c;
  }

  TrainTest data;
  RecordedRun run;
  Scratch folder;
};

// In a single step of a network that is linear in its weights nobody can answer: the change is what the example had done, taken back.
TEST(Compare, AfterOneStepOfALinearNetworkTheChangeIsTheContribution) {
  const Pair pair({.dropped = {3, 7}}, 1.0 / 3, {.lr = 0.2}, "mlp:5-3");
  const Tensor drawn = pair.run.open().step(0).indices;
  const Comparison c = pair.compare("test:all", pair.ledger("test:all", "logits"));
  ASSERT_EQ(c.queries.size(), 21u);
  double moved = 0;
  for (const ComparedQuery& q : c.queries) {
    EXPECT_NEAR(q.change(), -q.dropped, 1e-14) << q.info.input;
    moved = std::max(moved, std::abs(q.change()));
  }
  EXPECT_EQ(moved > 0, drawn.eq(3).logical_or(drawn.eq(7)).any().item<bool>());
}

TEST(Compare, AddsUpWhatWasDroppedAndMeasuresWhatChanged) {
  const Pair pair({.dropped = {3, 7, 12}});
  const Ledger ledger = pair.ledger("test:all");
  const Comparison c = pair.compare("test:1,4-6", ledger);
  EXPECT_EQ(c.dropped, (std::vector<int64_t>{3, 7, 12}));
  EXPECT_TRUE(c.relabelled.empty());
  ASSERT_EQ(c.queries.size(), 4u);
  const std::vector<int64_t> numbers = {1, 4, 5, 6};
  const Tensor whose = at::tensor(c.dropped, at::kLong);
  // The other run's own ledger ends at the other network: asked about the same logits.
  const auto model = pair.run.model();
  const Ledger logits = sweep(pair.other(), *model, pair.data.train, pair.queries("test:all"), testing::in_double("logits"));
  for (size_t k = 0; k < 4; ++k) {
    const ComparedQuery& q = c.queries[k];
    EXPECT_EQ(q.info.input, "test:" + std::to_string(numbers[k]));
    EXPECT_NEAR(q.dropped, ledger.contributions.index_select(0, whose).select(1, numbers[k]).sum().item<double>(), 1e-12);
    EXPECT_EQ(q.relabelled, 0);
    EXPECT_NEAR(q.before, ledger.final[numbers[k]].item<double>(), 1e-12);
    const Tensor z = logits.final.slice(0, 3 * numbers[k], 3 * numbers[k] + 3);
    const int64_t asked = ledger.queries[numbers[k]].predicted;  // the class that the run, not its retraining, predicts
    const Tensor others = z.masked_select(at::arange(3).ne(asked));
    EXPECT_NEAR(q.after, (z[asked] - others.logsumexp(0)).item<double>(), 1e-12);
    EXPECT_EQ(q.predicted, z.argmax().item<int64_t>());
    EXPECT_GT(std::abs(q.change()), 1e-6);
  }
  ASSERT_TRUE(c.correlation && c.rank_correlation);
  EXPECT_NE(c.words().find("not what its removal does"), std::string::npos);
}

TEST(Compare, RelabelledExamplesAreToldApart) {
  const Pair pair({.dropped = {3}, .relabelled = {{7, "0"}, {7, "1"}, {8, "2"}}});
  const Ledger ledger = pair.ledger("test:0-2");
  const Comparison c = pair.compare("test:0-2", ledger);
  EXPECT_EQ(c.relabelled, (std::vector<int64_t>{7, 8}));
  for (int64_t k = 0; k < 3; ++k) {
    EXPECT_NEAR(c.queries[k].dropped, ledger.contributions[3][k].item<double>(), 1e-15);
    EXPECT_NEAR(c.queries[k].relabelled, (ledger.contributions[7][k] + ledger.contributions[8][k]).item<double>(), 1e-15);
  }
  EXPECT_FALSE(c.correlation) << "a relabelled example is not gone";
}

TEST(Compare, NothingChangedIsNoChange) {
  const Pair pair({});
  const Comparison c = pair.compare("test:all", pair.ledger("test:all"));
  for (const ComparedQuery& q : c.queries) {
    EXPECT_EQ(q.change(), 0);
    EXPECT_EQ(q.dropped, 0);
    EXPECT_EQ(q.predicted, q.info.predicted);
  }
  EXPECT_FALSE(c.correlation);
}

TEST(Compare, WhatDoesNotBelongTogetherIsRefused) {
  const Pair pair({.dropped = {3}});
  const auto refused = [&](const std::string& part, const std::string& which, const Ledger& ledger) { EXPECT_REFUSED(InvalidInput, part, pair.compare(which, ledger)); };
  Ledger window = pair.ledger("test:0");
  window.settings.last_step = 5;
  refused("whole path", "test:0", window);
  refused("no query of test:2", "test:1-2", pair.ledger("test:1"));
  SweepOptions few = testing::in_double("log-odds");
  few.keep = 1;
  const Ledger kept = pair.run.explain(pair.queries("test:all"), few);
  if (kept.kept_examples.ne(3).any().item<bool>()) refused("without keep", "test:all", kept);
  Ledger foreign = pair.ledger("test:0");
  foreign.final = foreign.final + 1;
  refused("another run", "test:0", foreign);

  const auto model = pair.run.model();
  const Pair longer({.dropped = {3}}, 4);
  EXPECT_REFUSED(InvalidInput, "no repetition", check_comparable(pair.run.open(), longer.other()));
  const Pair faster({}, 3, {.lr = 0.1, .momentum = 0.9});
  EXPECT_REFUSED(InvalidInput, "optimizer", check_comparable(pair.run.open(), faster.other()));
  EXPECT_REFUSED(InvalidInput, "the other way round", check_comparable(pair.other(), pair.run.open()));
}

TEST(Correlation, OfRanksAndNumbers) {
  EXPECT_EQ(ranks({3, 1, 3, 0}), (std::vector<double>{2.5, 1, 2.5, 0}));
  EXPECT_NEAR(*correlation({1, 2, 3, 5}, {2, 1, 4, 4}), 0.7481900559272088, 1e-12);  // numpy.corrcoef
  EXPECT_NEAR(*correlation({1, 2, 3}, {-2, -4, -6}), -1, 1e-15);
  EXPECT_FALSE(correlation({1, 2}, {1, 2}));
  EXPECT_FALSE(correlation({1, 1, 1}, {1, 2, 3}));
}

}  // namespace
}  // namespace pathkernel
