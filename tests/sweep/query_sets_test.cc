// Sets of inputs as one query: a set's ledger is the weighted sum of its inputs' ledgers, however its inputs are streamed.

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <pathkernel/data/batch_order.h>
#include <pathkernel/explain/agreement.h>
#include <pathkernel/sweep/query_sets.h>
#include <pathkernel/tangent/contraction.h>

#include <fstream>

#include "sweep/small_runs.h"

namespace pathkernel {
namespace {

using testing::RecordedRun;

constexpr int64_t N = 18, asked = 13;

double largest(const Tensor& t) { return t.abs().max().item<double>(); }

/// Overlapping sets, one with weights that are no mean.
std::vector<QuerySet> some_sets() {
  return {mean_of("all", at::arange(asked, at::kLong)),
          {"contrast", at::tensor({2, 7, 11}, at::kLong), at::tensor({1.0, -0.5, 2.0}, at::kDouble)},
          mean_of("few", at::tensor({12, 0, 3, 4}, at::kLong))};
}

/// [asked, sets]
Tensor weights_of(const std::vector<QuerySet>& sets) {
  Tensor weights = at::zeros({asked, int64_t(sets.size())}, at::kDouble);
  for (size_t s = 0; s < sets.size(); ++s) weights.select(1, int64_t(s)).index_add_(0, sets[s].members, sets[s].weights);
  return weights;
}

/// The singles' numbers [..., asked·K] as the sets' [..., sets·K].
Tensor summed(const Tensor& of_singles, const Tensor& weights, int64_t K) {
  auto shape = of_singles.sizes().vec();
  shape.back() = asked;
  shape.push_back(K);
  const Tensor sums = at::matmul(of_singles.to(at::kDouble).view(shape).transpose(-1, -2), weights);  // [..., K, sets]
  shape.pop_back();
  shape.back() = weights.size(1) * K;
  return sums.transpose(-1, -2).reshape(shape);
}

void expect_sum_of_singles(const Ledger& sets, const Ledger& singles, const Tensor& weights, int64_t K, double tolerance = 1e-10) {
  const double scale = largest(singles.contributions) + 1e-6;
  const auto same = [&](const char* what, const Tensor& a, const Tensor& b, double allowed) {
    EXPECT_LE(largest(a - summed(b, weights, K)), allowed * std::max(scale, largest(b))) << what;
  };
  same("contributions", sets.contributions, singles.contributions, tolerance);
  same("by_step", sets.by_step, singles.by_step, tolerance);
  same("by_layer", sets.by_layer, singles.by_layer, tolerance);
  same("by_class", sets.by_class, singles.by_class, tolerance);
  same("outputs", sets.outputs, singles.outputs, tolerance);
  same("initial", sets.initial, singles.initial, tolerance);
  same("final", sets.final, singles.final, tolerance);
  for (const Ledger::Term& term : Ledger::terms()) same(term.name, sets.*term.of, singles.*term.of, tolerance);
  same("draws", sets.draws.to(at::kDouble), singles.draws, 1e-6);  // stored in float32
  EXPECT_EQ(first_disagreement(sets), "");
  EXPECT_LE(largest(sets.certificate.residual_to_contributions), 1e-11);
}

struct Case {
  const char* name;
  OptimizerSettings optimizer;
  const char* network = "mlp:5-8-8-3";
  double ema = 0;
};

std::ostream& operator<<(std::ostream& out, const Case& c) { return out << c.name; }

class Sets : public ::testing::TestWithParam<Case> {
 protected:
  static std::vector<int64_t> shape() { return std::string(GetParam().network).starts_with("resnet") ? std::vector<int64_t>{2, 6, 5} : std::vector<int64_t>{5}; }
  static RecordedRun run() {
    Manifest manifest = testing::manifest(GetParam().optimizer, "cross-entropy", 7);
    manifest.checkpoint_every = 3;
    manifest.ema = GetParam().ema;
    return RecordedRun(testing::network(GetParam().network, "relu"), testing::random_classes(N, shape(), 3, 1), manifest, shuffled_batches(N, 7, 3, 3));
  }
  static Queries queries(bool sets) {
    Queries q = testing::first_inputs(testing::random_classes(asked, shape(), 3, 7), asked);
    if (sets) q.sets = some_sets();
    return q;
  }
};

TEST_P(Sets, AreTheWeightedSumsOfTheirInputs) {
  const RecordedRun recorded = run();
  const Tensor weights = weights_of(some_sets());
  for (const char* measure : {"loss", "log-odds", "logits"}) {
    const int64_t K = std::string(measure) == "logits" ? 3 : 1;
    for (const Convention convention : {Convention::propagate, Convention::ledger}) {
      SCOPED_TRACE(fmt::format("{}, {}", measure, convention == Convention::propagate ? "propagate" : "ledger"));
      SweepOptions options = testing::in_double(measure);
      options.convention = convention;
      options.sampled_steps = 2;
      expect_sum_of_singles(recorded.explain(queries(true), options), recorded.explain(queries(false), options), weights, K);
    }
  }
}

TEST_P(Sets, HoldForEveryRuleWindowAndStride) {
  const RecordedRun recorded = run();
  const Tensor weights = weights_of(some_sets());
  for (const char* rule : {"secant", "gauss:2,closed", "left", "midpoint"}) {
    SCOPED_TRACE(rule);
    SweepOptions options = testing::in_double("loss", rule, 2);
    options.from = 2, options.until = 8;
    options.sampled_steps = 0;
    const Ledger sets = recorded.explain(queries(true), options), singles = recorded.explain(queries(false), options);
    EXPECT_LE(largest(sets.contributions - summed(singles.contributions, weights, 1)), 1e-10 * largest(singles.contributions));
    EXPECT_LE(largest(sets.residual - summed(singles.residual, weights, 1)), 1e-10 * largest(singles.outputs));
    if (options.rule.complete()) continue;
    EXPECT_GT(largest(sets.certificate.quadrature_defect), 0);
    EXPECT_TRUE((sets.residual.abs() <= sets.certificate.quadrature_defect * (1 + 1e-9)).all().item<bool>());  // |Σ r| ≤ Σ|r|
  }
  SweepOptions options = testing::in_double("loss");
  options.stride = 3;
  options.sampled_steps = 0;
  Ledger sets = recorded.explain(queries(true), options), singles = recorded.explain(queries(false), options);
  EXPECT_LE(largest(sets.contributions - summed(singles.contributions, weights, 1)), 1e-10 * largest(singles.contributions));
  EXPECT_EQ(sets.certificate.stride_deviation.numel(), 3);
  EXPECT_GT(sets.certificate.stride_deviation.min().item<double>(), 0);
}

TEST_P(Sets, AreStreamedWhereMemoryIsSmall) {
  const RecordedRun recorded = run();
  SweepOptions options = testing::in_double("loss");
  options.sampled_steps = 2;
  const auto model = recorded.model();
  const SweepPlan roomy = plan_sweep(recorded.open(), *model, recorded.data(), queries(true), options);
  EXPECT_EQ(roomy.inputs(), 3);
  EXPECT_EQ(roomy.inputs_of_sets, asked + 3 + 4);
  EXPECT_EQ(roomy.chunks, 1);
  EXPECT_GT(roomy.held_pieces, 0);
  const Ledger singles = recorded.explain(queries(false), options);
  struct Enough {};
  SweepPlan told;
  const auto fits = [&](int64_t memory) {
    options.memory = memory;
    options.planned = [&](const SweepPlan& plan) { told = plan; throw Enough(); };
    try {
      recorded.explain(queries(true), options);
    } catch (const Enough&) {
      return true;
    } catch (const InvalidInput&) {
    }
    return false;
  };
  int64_t least = 0, enough = options.memory;
  while (enough - least > 64) (fits((least + enough) / 2) ? enough : least) = (least + enough) / 2;
  // As little as can be: one input at a time and no tape held; and some more.
  for (const int64_t memory : {enough, enough + 2 * roomy.bytes_per_input() + 8 * roomy.bytes_of_a_streamed_input()}) {
    ASSERT_TRUE(fits(memory));
    options.planned = nullptr;
    expect_sum_of_singles(recorded.explain(queries(true), options), singles, weights_of(some_sets()), 1);
    EXPECT_LE(told.trace_bytes + told.chunk_bytes(), memory);
    if (memory > enough) continue;
    EXPECT_LE(told.inputs_per_piece, 2);
    EXPECT_EQ(told.held_pieces, 0);
    if (told.memory > told.ledger_bytes + 64) {
      EXPECT_EQ(told.chunks, 3);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, Sets,
                         ::testing::Values(Case{"sgd", {.lr = 0.3}}, Case{"momentum", {.lr = 0.1, .momentum = 0.9}},
                                           Case{"momentum_ema", {.lr = 0.1, .momentum = 0.9, .weight_decay = 0.05}, "mlp:5-8-8-3", 0.8},
                                           Case{"adamw", {.name = "adamw", .lr = 0.02, .weight_decay = 0.1}},
                                           Case{"batch_norm", {.lr = 0.05, .momentum = 0.9, .weight_decay = 0.01}, "resnet:2-4-5-3"}),
                         [](const auto& info) { return info.param.name; });

TEST(QuerySets, TheLedgerSaysWhatTheyAre) {
  const RecordedRun recorded(testing::network("mlp:5-8-8-3", "tanh"), testing::random_classes(N, {5}, 3, 1), testing::manifest({.lr = 0.2}, "cross-entropy", 7), shuffled_batches(N, 7, 2, 3));
  Queries queries = testing::first_inputs(recorded.data(), asked);
  queries.sets = some_sets();
  const Ledger ledger = recorded.explain(queries, testing::in_double("logits"));
  ASSERT_EQ(ledger.queries.size(), 9u);
  EXPECT_EQ(ledger.queries[0].input, "all");
  EXPECT_EQ(ledger.queries[0].measurement, "mean of logit of 0");
  EXPECT_EQ(ledger.queries[4].measurement, "weighted sum of logit of 1");
  EXPECT_EQ(ledger.queries[4].set_size, 3);
  EXPECT_EQ(ledger.queries[8].target, -1);
  EXPECT_FALSE(ledger.query_inputs.defined()) << "a set has no input of its own";
}

TEST(QuerySets, WrongOnesAreThoseOfTheNetworkAtTheWindowsEnd) {
  const RecordedRun recorded(testing::network("mlp:5-8-8-3", "tanh"), testing::random_classes(N, {5}, 3, 1), testing::manifest({.lr = 0.5}, "cross-entropy", 7), shuffled_batches(N, 7, 6, 3));
  const Queries queries = testing::first_inputs(recorded.data(), N);
  for (const int64_t until : {1, 18}) {
    SweepOptions options = testing::in_double("loss");
    options.until = until;
    const Ledger ledger = recorded.explain(queries, options);
    std::vector<int64_t> expected;
    for (int64_t q = 0; q < N; ++q)
      if (ledger.queries[size_t(q)].predicted != recorded.data().targets[q].item<int64_t>()) expected.push_back(q);
    const auto model = recorded.model();
    EXPECT_TRUE(at::equal(wrong_inputs(recorded.open(), *model, recorded.data(), queries, options), at::tensor(expected, at::kLong))) << until;
  }
}

TEST(QuerySets, ByClassAndFromAFile) {
  Queries queries = testing::first_inputs(testing::random_classes(9, {5}, 3, 7), 9);
  queries.targets = at::tensor({0, 1, 1, 0, 2, 2, 2, 1, 0}, at::kLong);
  for (int64_t q = 0; q < 9; ++q) queries.info[size_t(q)].row = 100 + q;
  const auto classes = sets_by_class("test:all", queries, {"cat", "dog", "owl", "fox"});
  ASSERT_EQ(classes.size(), 3u) << "no fox was asked about";
  EXPECT_EQ(classes[2].name, "class owl of test:all");
  EXPECT_TRUE(at::equal(classes[2].members, at::tensor({4, 5, 6}, at::kLong)));
  EXPECT_TRUE(classes[2].is_mean());

  testing::Scratch folder;
  const std::string path = folder.path("sets.txt");
  const auto read = [&](const std::string& text) {
    std::ofstream(path) << text;
    return sets_from_file(path, queries);
  };
  const auto sets = read("# mine\n\nhard ones: 103, 105-107   # four\nharder than: 101*1, 108 * -2.5\nall of them: all\n");
  ASSERT_EQ(sets.size(), 3u);
  EXPECT_EQ(sets[0].name, "hard ones");
  EXPECT_TRUE(at::equal(sets[0].members, at::tensor({3, 5, 6, 7}, at::kLong)));
  EXPECT_TRUE(sets[0].is_mean());
  EXPECT_TRUE(at::equal(sets[1].weights, at::tensor({1.0, -2.5}, at::kDouble)));
  EXPECT_FALSE(sets[1].is_mean());
  EXPECT_EQ(sets[2].size(), 9);
  const auto plain = read("103, 105-107  # a plain list\n108,\n");
  ASSERT_EQ(plain.size(), 1u);
  EXPECT_EQ(plain[0].name, "sets") << "as the file is called";
  EXPECT_TRUE(at::equal(plain[0].members, at::tensor({3, 5, 6, 7, 8}, at::kLong)));
  for (const char* bad : {"103,104\na: 105\n", "a: 105\n103\n", "103\n104-103\n", "103\n103\n", "sandals\n", "a: \n", "a: 99\n", "a: 103-101\n", "a: x\n", "a: 103*\n", "a: 103, 102-104\n", "a: 101*nan\n", "# nothing\n"})
    EXPECT_THROW(read(bad), InvalidInput) << bad;
  EXPECT_THROW(sets_from_file(folder.path("missing.txt"), queries), InvalidInput);
}

TEST(QuerySets, AreRefusedWhereTheyNameNoInput) {
  const RecordedRun recorded(testing::network("mlp:5-8-8-3", "tanh"), testing::random_classes(N, {5}, 3, 1), testing::manifest({.lr = 0.2}, "cross-entropy", 7), shuffled_batches(N, 7, 1, 3));
  Queries queries = testing::first_inputs(recorded.data(), asked);
  queries.sets = {mean_of("beyond", at::tensor(std::vector<int64_t>{3, asked}, at::kLong))};
  EXPECT_THROW(recorded.explain(queries, testing::in_double("loss")), InvalidInput);
  EXPECT_THROW(mean_of("none", at::zeros({0}, at::kLong)), InvalidInput);
}

TEST(WeightedSums, OfEveryKindOfFactor) {
  at::manual_seed(3);
  const auto rand = [](std::vector<int64_t> shape) { return at::randn(shape, at::kDouble); };
  const int64_t n = 6;
  const Tensor weights = at::tensor({1.0, 0.0, -2.0, 0.5, 0.0, 3.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0}, at::kDouble).view({2, n});
  const Tensor index = at::randint(-1, 4, {n, 3}, at::kLong);
  for (const Factor& f : {outer_factor(rand({n, 4, 1}), rand({n, 5, 1})), outer_factor(rand({n, 4, 7}), rand({n, 5, 7})), grouped_outer_factor(rand({n, 2, 2, 7}), rand({n, 2, 5, 7})),
                          rows_factor(index, rand({n, 3, 5}), 4), dense_factor(rand({n, 20}))}) {
    const Tensor expected = at::matmul(weights, materialise({f, f}, n, 20, rand({1}).options()));
    EXPECT_LE(largest(weighted_sums({f, f}, weights, 20) - expected), 1e-12) << int(f.kind);
  }
}

}  // namespace
}  // namespace pathkernel
