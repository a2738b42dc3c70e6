// Networks that are discontinuous in their weights: what jumps is booked as a jump, and never smeared over examples (theory 3b).

#include <ATen/ops/argmax.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/round.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/where.h>
#include <gtest/gtest.h>
#include <pathkernel/data/batch_order.h>

#include "sweep/small_runs.h"

namespace pathkernel {
namespace {

/// A module of two weights in float64 with a forward pass of the test's own.
class TwoWeights : public Model {
 public:
  using Forward = std::function<Tensor(const Tensor& x, const Tensor& a, const Tensor& b)>;
  explicit TwoWeights(Forward forward, std::vector<int64_t> shape = {1}) : forward_(std::move(forward)) {
    at::manual_seed(4);
    a_ = (at::randn(shape, at::kDouble) * 0.3).set_requires_grad(true);
    b_ = (at::randn(shape, at::kDouble) * 0.3).set_requires_grad(true);
  }
  NamedTensors parameters() const override { return {{"a", a_}, {"b", b_}}; }
  NamedTensors buffers() const override { return {}; }
  Tensors forward(const Tensors& x, Mode) override { return {forward_(x[0], a_, b_)}; }

 private:
  Forward forward_;
  Tensor a_, b_;
};

Dataset line() {
  Dataset data;
  data.name = "line";
  at::manual_seed(9);
  data.inputs = at::randn({24, 1}, at::kDouble);
  data.targets = (data.inputs.squeeze(1) * 1.5 + 0.4).contiguous();
  return data;
}

/// Trained on `line()`; asks output 0 of its first six inputs.
Ledger explained(const TwoWeights::Forward& forward, const std::string& rule = "secant", std::vector<int64_t> shape = {1}, int64_t from = 0) {
  const testing::RecordedRun run([=] { return std::make_unique<TwoWeights>(forward, shape); }, line(),
                                 testing::manifest({.lr = 0.1, .momentum = 0.5}, "mse", 6), shuffled_batches(24, 6, 6, 1));
  SweepOptions options = testing::in_double("output:0", rule);
  options.from = from;
  return run.explain(testing::first_inputs(run.data(), 6), options);
}

double largest(const Tensor& t) { return t.abs().max().item<double>(); }

void expect_complete(const Ledger& ledger) { EXPECT_LE(largest(ledger.residual), 1e-12 * largest(ledger.contributions.abs().sum(0))); }

TEST(Jumps, OfAStepAreItsHeightTimesItsCrossings) {
  // f = a x + 0.7·[b x > 0.2]: the gate's gradient is zero, and b never learns. Let it learn by the second summand b x.
  const Ledger ledger = explained([](const Tensor& x, const Tensor& a, const Tensor& b) {
    const Tensor slope = x * a + x * b;
    return slope + at::where(x * b > 0.2, 0.7, 0.0);
  });
  expect_complete(ledger);
  const Tensor crossings = (ledger.jumps / 0.7).round();
  EXPECT_GE(largest(crossings), 1) << "no gate opened: the test is empty";
  EXPECT_LE(largest(ledger.jumps - 0.7 * crossings), 2e-3) << "a jump holds no more than 2⁻¹² of a step beside its height";
}

TEST(Jumps, OfAGateInsideAProductAreNotSmeared) {
  // Shares with the jump apart are those of the smooth parts: bounded, where the rank-one correction would divide by the step.
  const auto gated = [](const Tensor& x, const Tensor& a, const Tensor& b) { return x * a + (x * b > 0.1).to(x.scalar_type()) * (x * b); };
  const Ledger ledger = explained(gated);
  expect_complete(ledger);
  EXPECT_GT(largest(ledger.jumps), 0.02);
  EXPECT_LE(largest(ledger.contributions), 5);
}

TEST(Jumps, OfRoundedWeightsBelongToNoExample) {
  // Straight-through: trained through b, evaluated with its rounding.
  const auto rounded = [](const Tensor& x, const Tensor& a, const Tensor& b) { return x * (a + (at::round(b * 8) / 8 - b).detach() + b); };
  const Ledger ledger = explained(rounded);
  expect_complete(ledger);
  EXPECT_GT(largest(ledger.jumps), 0.1);
}

TEST(Jumps, OfRoutingByArgmax) {
  // Two experts; each input goes to the one with the higher score.
  const auto routed = [](const Tensor& x, const Tensor& a, const Tensor& b) {
    const Tensor scores = at::linear(x, b.unsqueeze(1), at::tensor({0.2, -0.2}, at::kDouble));
    const Tensor experts = at::linear(x, a.unsqueeze(1), at::tensor({0.5, -0.5}, at::kDouble)) + scores;
    return experts.gather(1, at::argmax(scores, 1, true));
  };
  const Ledger ledger = explained(routed, "secant", {2});
  expect_complete(ledger);
  EXPECT_GT(largest(ledger.jumps), 1e-3);
}

TEST(Jumps, OfAnotherStructureAreBookedToo) {
  // The program itself branches on a decision: other operations before and after.
  const auto branching = [](const Tensor& x, const Tensor& a, const Tensor& b) {
    if ((b > -0.2).item<bool>()) return x * a + x * b;
    return x * a + x * b * 1.5 + 0.1;
  };
  const Ledger ledger = explained(branching);
  expect_complete(ledger);
}

TEST(Jumps, AreNoneWhereBranchesCross) {
  // A maximum written by hand is continuous: no jump, and the same shares as torch's own.
  const Ledger by_hand = explained([](const Tensor& x, const Tensor& a, const Tensor& b) {
    const Tensor p = x * a + 0.1, q = x * b;
    return at::where(p > q, p, q);
  });
  const Ledger maximum = explained([](const Tensor& x, const Tensor& a, const Tensor& b) { return std::get<0>(at::stack({x * a + 0.1, x * b}, 0).max(0)); });
  expect_complete(by_hand);
  EXPECT_EQ(largest(by_hand.jumps), 0);
  EXPECT_LE(largest(by_hand.contributions - maximum.contributions), 1e-12);
}

TEST(Jumps, HiddenInARemainderAreRefused) {
  EXPECT_THROW(explained([](const Tensor& x, const Tensor& a, const Tensor& b) { return (x * a).remainder(0.3) + x * b; }), InvalidInput);
}

TEST(Closed, HasNoResidualAndShowsWhatItHid) {
  const auto smooth = [](const Tensor& x, const Tensor& a, const Tensor& b) { return at::tanh(x * a * 2) * b + x * b; };
  const Ledger open = explained(smooth, "midpoint"), closed = explained(smooth, "midpoint,closed");
  expect_complete(closed);
  EXPECT_EQ(open.settings.rule, "gauss:1");
  EXPECT_GT(largest(open.residual), 1e-8);
  EXPECT_LE(largest(open.certificate.quadrature_defect - closed.certificate.quadrature_defect), 1e-14);
  EXPECT_GE((open.certificate.quadrature_defect - open.residual.abs()).min().item<double>(), -1e-14) << "Σ|r| bounds |Σ r|";
  EXPECT_EQ(closed.settings.rule, "gauss:1,closed");
  EXPECT_LE(largest(explained(smooth, "closed").certificate.quadrature_defect), largest(closed.certificate.quadrature_defect));
}

}  // namespace
}  // namespace pathkernel
