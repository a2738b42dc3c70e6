// The representer expansion of plain SGD (theory 1): coefficients that do not depend on x, and kernels, whose products are the ledger's draws.

#include <ATen/ops/cat.h>
#include <ATen/ops/einsum.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/zeros_like.h>
#include <gtest/gtest.h>
#include <pathkernel/data/batch_order.h>
#include <pathkernel/sweep/representer.h>
#include <pathkernel/tangent/coupled_batch.h>
#include <sweep/small_runs.h>

#include "../kernel/jacobians.h"

namespace pathkernel {
namespace {

using testing::RecordedRun;

std::vector<RepresenterStep> steps_of(const RecordedRun& run, const Queries& queries, const RepresenterOptions& options) {
  const auto model = run.model();
  std::vector<RepresenterStep> all;
  representer(run.open(), *model, run.data(), queries, options, [&](const RepresenterStep& s) { all.push_back(s); });
  return all;
}

struct Case {
  std::string name, objective, model, measure;
  OptimizerSettings optimizer;
  int64_t accumulate = 1;
};

class Representers : public ::testing::TestWithParam<Case> {};

TEST_P(Representers, AreTheLedgersDraws) {
  const Case& c = GetParam();
  Manifest manifest = testing::manifest(c.optimizer, c.objective, 4);
  manifest.accumulate = c.accumulate;
  manifest.checkpoint_every = 4;
  const RecordedRun run(testing::network(c.model, "tanh"), testing::random_classes(12, {5}, 3, 1), manifest, shuffled_batches(12, 4, 2, 3));
  const Queries queries = testing::first_inputs(run.data(), 3);
  const Ledger ledger = run.explain(queries, testing::in_double(c.measure));
  const std::vector<RepresenterStep> steps = steps_of(run, queries, {.measure = c.measure});
  ASSERT_EQ(int64_t(steps.size()), run.open().steps());
  Tensors draws, examples;
  for (const RepresenterStep& s : steps) {
    draws.push_back(s.contributions());
    examples.push_back(s.examples);
    EXPECT_EQ(s.alpha.sizes(), (std::vector<int64_t>{4, 3}));
    EXPECT_EQ(s.kernel.size(0), ledger.final.size(0));
  }
  EXPECT_TRUE(at::cat(examples).equal(ledger.draw_example));
  const Tensor all = at::cat(draws), by_example = at::zeros_like(ledger.contributions).index_add_(0, ledger.draw_example, all);
  EXPECT_LT((by_example - ledger.contributions).abs().max().item<double>(), 1e-10 * ledger.contributions.abs().max().item<double>());
  EXPECT_LT((all - ledger.draws).abs().max().item<double>(), 1e-6 * ledger.draws.abs().max().item<double>()) << "which are kept in float32";
  const Tensor total = ledger.initial + all.sum(0) + ledger.jumps;
  EXPECT_LT((total - ledger.final).abs().max().item<double>(), 1e-10 * ledger.final.abs().max().item<double>());
}

INSTANTIATE_TEST_SUITE_P(Runs, Representers,
                         ::testing::Values(Case{"cross_entropy", "cross-entropy", "mlp:5-6-3", "log-odds", {.lr = 0.3, .schedule = "cosine"}},
                                           Case{"logits", "cross-entropy", "mlp:5-6-3", "logits", {.lr = 0.3}}, Case{"hinge", "hinge", "mlp:5-6-3", "logit:1", {.lr = 0.1}},
                                           Case{"accumulated", "cross-entropy", "mlp:5-6-3", "log-odds", {.lr = 0.3}, 2}),
                         [](const auto& param) { return param.param.name; });

/// α is a number of the example and the step alone, and K is what it says: with the left rule the Jacobians' product at w_s.
TEST(Representer, ItsPartsAreWhatTheySay) {
  const RecordedRun run(testing::network("mlp:5-6-3", "tanh"), testing::random_classes(12, {5}, 3, 1), testing::manifest({.lr = 0.3}, "cross-entropy", 4),
                        shuffled_batches(12, 4, 1, 3));
  RepresenterOptions options{.rule = GradientRule::parse("left", 1), .measure = "logits", .from = 0, .until = 1};
  const RepresenterStep s = steps_of(run, testing::first_inputs(run.data(), 3), options).at(0);
  const auto model = run.model();  // with its initial weights
  const Tensor J = testing::jacobians(*model, run.data().inputs.index_select(0, s.examples)), H = testing::jacobians(*model, run.data().inputs.narrow(0, 0, 3));
  const Tensor expected = at::einsum("qkw,iow->qkio", {H, J}).flatten(0, 1);
  EXPECT_LT((s.kernel - expected).abs().max().item<double>(), 1e-12 * expected.abs().max().item<double>());
  const Tensor z = model->forward({run.data().inputs.index_select(0, s.examples)}, Mode::eval)[0].detach();
  const Tensor y = at::zeros_like(z).scatter_(1, run.data().targets.index_select(0, s.examples).unsqueeze(1), 1);
  EXPECT_LT((s.alpha + 0.3 / 4 * (at::softmax(z, 1) - y)).abs().max().item<double>(), 1e-14);
  options.measure = "loss";
  EXPECT_TRUE(steps_of(run, testing::first_inputs(run.data(), 2), options).at(0).alpha.equal(s.alpha)) << "whatever is asked";
}

TEST(Representer, RefusesRunsWithoutOne) {
  const auto refused = [](const OptimizerSettings& optimizer, const char* words) {
    const RecordedRun run(testing::network("mlp:5-6-3", "tanh"), testing::random_classes(12, {5}, 3, 1), testing::manifest(optimizer, "cross-entropy", 4), shuffled_batches(12, 4, 1, 3));
    EXPECT_REFUSED(InvalidInput, words, steps_of(run, testing::first_inputs(run.data(), 1), {}));
  };
  refused({.lr = 0.1, .momentum = 0.9}, "at step 1 ");
  refused({.lr = 0.1, .weight_decay = 0.1}, "moved otherwise than by -lr times the batch's gradient");
  refused({.name = "adam", .lr = 0.1}, "at step 0 ");
  refused({.lr = 0.1, .clip_norm = 1e-3}, "no coefficients that are the same for all inputs");
  const RecordedRun run(testing::network("mlp:5-6-3", "tanh"), testing::random_classes(12, {5}, 3, 1), testing::manifest({.lr = 0.1}, "cross-entropy", 4), shuffled_batches(12, 4, 1, 3));
  EXPECT_REFUSED(InvalidInput, "steps 2 to 3 were asked for, but", steps_of(run, testing::first_inputs(run.data(), 1), {.from = 2, .until = 4}));
}

}  // namespace
}  // namespace pathkernel
