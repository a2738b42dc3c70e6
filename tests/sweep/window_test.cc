// Windows of the path, blocks of steps with one gradient, averaged weights, accumulated steps: each stays complete, and agrees with
// what it must agree with.

#include <gtest/gtest.h>
#include <pathkernel/data/batch_order.h>

#include "sweep/small_runs.h"

namespace pathkernel {
namespace {

constexpr int64_t N = 18, B = 7, epochs = 4, T = 12;  // three steps an epoch, the last one short

Dataset data() { return testing::random_classes(N, {5}, 3, 11); }

testing::RecordedRun record(const OptimizerSettings& optimizer, int64_t accumulate = 1, double ema = 0) {
  Manifest m = testing::manifest(optimizer, "cross-entropy", B);
  m.accumulate = accumulate;
  m.ema = ema;
  m.checkpoint_every = ema > 0 ? 1 : 0;
  return {testing::network("mlp:5-6-3", "tanh"), data(), m, shuffled_batches(N, B, epochs, 5)};
}

void expect_complete(const Ledger& ledger) {
  const Tensor off = (ledger.final - ledger.initial - ledger.change()).abs(), size = ledger.contributions.abs().sum(0);
  EXPECT_LE((off / size).max().item<double>(), 1e-12);
  EXPECT_TRUE(at::equal(ledger.residual.abs(), off));
}

double largest(const Tensor& t) { return t.abs().max().item<double>(); }

class Windows : public ::testing::TestWithParam<std::tuple<testing::NamedOptimizer, Convention, double>> {};

TEST_P(Windows, AddUp) {
  const auto& [named, convention, ema] = GetParam();
  const auto run = record(named.settings, 1, ema);
  const Queries queries = testing::first_inputs(run.data(), 4);
  SweepOptions options = testing::in_double("logit:1");
  options.convention = convention;
  const auto over = [&](int64_t from, int64_t until) {
    options.from = from, options.until = until;
    return run.explain(queries, options);
  };
  const Ledger all = over(0, -1), first = over(0, 6), second = over(6, 9), third = over(9, T);
  for (const Ledger* ledger : {&all, &first, &second, &third}) expect_complete(*ledger);
  EXPECT_LE(largest(first.final - second.initial), 1e-15);
  EXPECT_LE(largest(second.final - third.initial), 1e-15);
  EXPECT_LE(largest(all.final - third.final), 1e-15);
  EXPECT_EQ(second.outputs.size(0), 4);
  EXPECT_EQ(second.draw_step.min().item<int64_t>(), 6);
  EXPECT_EQ(largest(first.in_flight), 0) << "nothing was under way before the first step";
  const bool remembers = !make_optimizer(named.settings, run.model()->parameters())->memory().empty() || ema != 0;
  EXPECT_EQ(largest(second.in_flight) > 1e-8, remembers);
  if (!remembers && (named.settings.weight_decay == 0 || convention == Convention::ledger)) {  // plain pushes: credit is given where it arrives
    const Tensor sum = first.contributions + second.contributions + third.contributions;
    EXPECT_LE(largest(sum - all.contributions), 1e-12 * largest(all.contributions));
  }
}

INSTANTIATE_TEST_SUITE_P(All, Windows,
                         ::testing::Combine(::testing::ValuesIn(testing::all_optimizers()), ::testing::Values(Convention::propagate, Convention::ledger), ::testing::Values(0.0, 0.8)),
                         [](const auto& info) {
                           return std::get<0>(info.param).name + (std::get<1>(info.param) == Convention::propagate ? "_B" : "_A") + (std::get<2>(info.param) > 0 ? "_ema" : "");
                         });

TEST(Window, IsRefusedWhereThereIsNone) {
  const auto run = record({.lr = 0.1});
  const Queries queries = testing::first_inputs(run.data(), 1);
  for (const auto& [from, until] : {std::pair<int64_t, int64_t>{4, 4}, {5, 3}, {0, T + 1}, {T, -1}}) {
    SweepOptions options = testing::in_double("logit:1");
    options.from = from, options.until = until;
    EXPECT_THROW(run.explain(queries, options), InvalidInput) << from << " to " << until;
  }
}

TEST(Stride, StaysCompleteAndSaysHowFarSharesMove) {
  for (const OptimizerSettings& optimizer : {OptimizerSettings{.lr = 0.3, .momentum = 0.9}, OptimizerSettings{.name = "adamw", .lr = 0.03, .weight_decay = 0.2}}) {
    const auto run = record(optimizer);
    const Queries queries = testing::first_inputs(run.data(), 6);
    SweepOptions options = testing::in_double("logit:1");
    const Ledger exact = run.explain(queries, options);
    for (const int64_t stride : {2, 3, 50}) {
      options.stride = stride;
      const Ledger ledger = run.explain(queries, options);
      expect_complete(ledger);
      const Tensor deviation = ledger.certificate.stride_deviation;
      ASSERT_EQ(deviation.size(0), 4);
      const Tensor moved = ((ledger.contributions - exact.contributions).norm(2, 0) / exact.contributions.norm(2, 0)).narrow(0, 0, 4);
      EXPECT_LE(largest(deviation - moved), 1e-12);
      EXPECT_GT(largest(deviation), 1e-6);
      EXPECT_LE(largest(deviation), 0.5);
    }
  }
}

TEST(Average, IsTheNetworkThatIsAsked) {
  const double rho = 0.8;
  const auto run = record({.lr = 0.3, .momentum = 0.9}, 1, rho);
  const Recording recording = run.open();
  Tensors average = values(recording.checkpoint(0).parameters);
  for (int64_t s = 1; s <= recording.steps(); ++s) {
    const Tensors w = values(recording.checkpoint(s).parameters);
    for (size_t l = 0; l < w.size(); ++l) average[l] = rho * average[l] + (1 - rho) * w[l];
  }
  const auto model = run.model();
  model->bind_parameters(average);
  const Queries queries = testing::first_inputs(run.data(), 4);
  const Tensor f = model->forward(queries.inputs, Mode::eval)[0].select(1, 1).detach();
  SweepOptions options = testing::in_double("logit:1");
  EXPECT_LE(largest(run.explain(queries, options).final - f), 1e-14);
  EXPECT_EQ(run.explain(queries, options).settings.network, "average");
  options.network = SweepOptions::Asked::weights;
  EXPECT_GT(largest(run.explain(queries, options).final - f), 1e-3);
  options.network = SweepOptions::Asked::average;
  EXPECT_THROW(record({.lr = 0.1}).explain(queries, options), InvalidInput);
}

TEST(Regulariser, IsATermOfItsOwn) {
  // ½α‖w‖² as a term of the loss moves the weights as coupled decay α does, and its term is what convention A books as decay.
  for (const OptimizerSettings& plain : {OptimizerSettings{.lr = 0.2, .momentum = 0.8}, OptimizerSettings{.name = "adam", .lr = 0.02}}) {
    OptimizerSettings decayed = plain;
    decayed.weight_decay = 0.05;
    const auto batches = shuffled_batches(N, B, epochs, 5);
    Manifest m = testing::manifest(decayed, "cross-entropy", B);
    const testing::RecordedRun decay(testing::network("mlp:5-6-3", "tanh"), data(), m, batches);
    m.optimizer = plain;
    m.regulariser = "l2:0.05";
    const testing::RecordedRun term(testing::network("mlp:5-6-3", "tanh"), data(), m, batches);
    const Queries queries = testing::first_inputs(data(), 4);
    SweepOptions options = testing::in_double("logit:1");
    options.convention = Convention::ledger;
    const Ledger a = decay.explain(queries, options), b = term.explain(queries, options);
    expect_complete(b);
    EXPECT_EQ(b.settings.regulariser, "l2:0.05");
    EXPECT_EQ(largest(b.decay), 0);
    EXPECT_GT(largest(b.regulariser), 1e-3);
    EXPECT_LE(largest(a.decay - b.regulariser), 1e-11 * largest(b.regulariser));
    EXPECT_LE(largest(a.contributions - b.contributions), 1e-11 * largest(b.contributions));
  }
}

TEST(Accumulation, OfEqualMicroBatchesIsTheWholeBatch) {
  Manifest m = testing::manifest({.lr = 0.2, .momentum = 0.9}, "cross-entropy", 6);
  const auto batches = shuffled_batches(N, 6, epochs, 5);
  const Queries queries = testing::first_inputs(data(), 3);
  const testing::RecordedRun whole(testing::network("mlp:5-6-3", "tanh"), data(), m, batches);
  m.accumulate = 3;
  const testing::RecordedRun parts(testing::network("mlp:5-6-3", "tanh"), data(), m, batches);
  const Ledger a = whole.explain(queries, testing::in_double("logit:1")), b = parts.explain(queries, testing::in_double("logit:1"));
  expect_complete(b);
  EXPECT_LE(largest(a.draws.to(at::kDouble) - b.draws.to(at::kDouble)), 1e-6 * largest(a.draws));
  EXPECT_LE(largest(a.contributions - b.contributions), 1e-12 * largest(a.contributions));
}

TEST(Accumulation, WeighsUnequalMicroBatchesAlike) {
  const auto run = record({.name = "adamw", .lr = 0.03, .weight_decay = 0.1}, 2);  // 7 = 4 + 3
  expect_complete(run.explain(testing::first_inputs(run.data(), 3), testing::in_double("log-odds")));
}

}  // namespace
}  // namespace pathkernel
