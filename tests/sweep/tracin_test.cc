// TracIn's scores, and what comes with them, against their definition: autograd's gradient of every example and query on its own.

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <pathkernel/data/batch_order.h>
#include <pathkernel/sweep/query_sets.h>
#include <pathkernel/sweep/tracin.h>
#include <torch/csrc/autograd/autograd.h>

#include "sweep/small_runs.h"
#include "tangent/function_model.h"

namespace pathkernel {
namespace {

constexpr int64_t N = 18, asked = 5, classes = 3;

/// A convolution, a layer that is used twice, something in place and something detached.
std::unique_ptr<Model> network() {
  at::manual_seed(5);
  const auto numbers = [](std::vector<int64_t> shape) { return at::randn(shape, at::kDouble) * 0.5; };
  const NamedTensors w = {{"c.weight", numbers({3, 1, 3, 3})}, {"c.bias", numbers({3})}, {"h.weight", numbers({12, 12})}, {"h.bias", numbers({12})}, {"f.weight", numbers({classes, 12})}};
  return std::make_unique<testing::FunctionModel>(w, NamedTensors{}, [](const Tensors& w, const Tensors&, const Tensor& x, Mode) {
    Tensor h = at::max_pool2d(at::conv2d(x, w[0], w[1], 1, 1).relu_(), 2).flatten(1);
    h = at::tanh(at::linear(h, w[2], w[3]));
    return at::linear(h + at::linear(h.detach(), w[2]), w[4]);
  });
}

Dataset data() { return testing::random_classes(N, {1, 4, 4}, classes, 1); }

testing::RecordedRun run() {
  Manifest manifest = testing::manifest({.lr = 0.2, .momentum = 0.5, .schedule = "cosine"}, "cross-entropy", 6);
  manifest.checkpoint_every = 3;
  return {network, data(), manifest, shuffled_batches(N, 6, 3, 3)};
}

/// Gradients of a value of each row, by all parameters, [n·K, P].
Tensor gradients(Model& model, const Dataset& rows, bool logits, Tensor* found = nullptr) {
  Tensors flat, all;
  for (int64_t i = 0; i < rows.size(); ++i) {
    const Tensor z = model.forward({rows.inputs.narrow(0, i, 1)}, Mode::eval)[0];
    const Tensor of = logits ? z.flatten() : at::cross_entropy_loss(z, rows.targets.narrow(0, i, 1)).reshape(1);
    for (int64_t k = 0; k < of.size(0); ++k) {
      Tensors one;
      for (const Tensor& g : torch::autograd::grad({of[k]}, values(model.parameters()), {}, true)) one.push_back(g.flatten());
      flat.push_back(at::cat(one));
    }
    all.push_back(of.detach());
  }
  if (found != nullptr) *found = at::cat(all);
  return at::stack(flat);
}

struct Expected {
  Tensor contributions, self_influence, losses, by_step, predicted;
};

/// Σ_c η_c of what is defined at each checkpoint.
Expected by_definition(const Recording& recording, const std::vector<int64_t>& steps, const Dataset& queries, bool logits) {
  const Dataset examples = data();
  const int64_t Q = queries.size() * (logits ? classes : 1), T = recording.steps();
  const auto f64 = at::TensorOptions(at::kDouble);
  Expected e{at::zeros({N, Q}, f64), at::zeros({N}, f64), at::zeros({int64_t(steps.size()), N}, f64), at::zeros({T, Q}, f64), {}};
  const auto model = network();
  for (size_t c = 0; c < steps.size(); ++c) {
    model->bind_parameters(values(recording.checkpoint(steps[c]).parameters));
    const int64_t row = std::min(steps[c], T - 1);
    const double eta = recording.step(row).lr;
    Tensor losses;
    const Tensor G = gradients(*model, examples, false, &losses), H = gradients(*model, queries, logits);
    const Tensor part = -eta * G.matmul(H.t());
    e.contributions += part;
    e.by_step[row] += part.sum(0);
    e.self_influence += eta * G.square().sum(1);
    e.losses[int64_t(c)].copy_(losses);
    e.predicted = model->forward({examples.inputs}, Mode::eval)[0].argmax(1);
  }
  return e;
}

void expect_same(const char* what, const Tensor& ours, const Tensor& theirs) {
  EXPECT_EQ(ours.sizes(), theirs.sizes()) << what;
  EXPECT_LE((ours - theirs).abs().max().item<double>(), 1e-12 * (1 + theirs.abs().max().item<double>())) << what;
}

class TracInScores : public ::testing::TestWithParam<const char*> {};

TEST_P(TracInScores, AreWhatTheyAreDefinedAs) {
  const auto recorded = run();
  const Recording recording = recorded.open();
  const auto model = network();
  const Dataset others = testing::random_classes(asked, {1, 4, 4}, classes, 7);
  const TracIn scores = tracin(recording, *model, recorded.data(), testing::first_inputs(others, asked), {GetParam(), 3});
  ASSERT_EQ(scores.steps, (std::vector<int64_t>{3, 6, 9}));
  const Expected e = by_definition(recording, scores.steps, others, std::string(GetParam()) == "logits");
  const Ledger& l = scores.ledger;
  expect_same("contributions", l.contributions, e.contributions);
  expect_same("self-influence", scores.self_influence, e.self_influence);
  expect_same("losses", scores.losses, e.losses);
  expect_same("by step", l.by_step, e.by_step);
  EXPECT_TRUE(scores.predicted.equal(e.predicted));
  expect_same("by layer", l.by_layer.sum(0), e.contributions.sum(0));
  for (int64_t c = 0; c < classes; ++c) expect_same("by class", l.by_class[c], e.contributions.index_select(0, (data().targets == c).nonzero().squeeze(1)).sum(0));
  expect_same("residual", l.final - l.initial - l.contributions.sum(0), l.residual);
  EXPECT_FALSE(model->parameters().front().tensor.grad().defined()) << "whose model it is sees nothing of it";
}

TEST_P(TracInScores, OfASetAreTheWeightedSum) {
  const auto recorded = run();
  const auto model = network();
  Queries queries = testing::first_inputs(testing::random_classes(asked, {1, 4, 4}, classes, 7), asked);
  const TracInOptions options{GetParam(), 2};
  const Ledger singles = tracin(recorded.open(), *model, recorded.data(), queries, options).ledger;
  queries.sets = {mean_of("some", at::tensor({4, 0, 2}, at::kLong)), {"contrast", at::tensor({1, 3}, at::kLong), at::tensor({2.0, -0.5}, at::kDouble)}};
  const Ledger sets = tracin(recorded.open(), *model, recorded.data(), queries, options).ledger;
  const auto summed = [&](const Tensor& t) {
    const Tensor each = t.view({t.size(0), asked, -1});
    return at::stack({(each.select(1, 4) + each.select(1, 0) + each.select(1, 2)) / 3, 2 * each.select(1, 1) - 0.5 * each.select(1, 3)}, 1).flatten(1);
  };
  expect_same("contributions", sets.contributions, summed(singles.contributions));
  expect_same("by layer", sets.by_layer, summed(singles.by_layer));
  expect_same("final", sets.final.unsqueeze(0), summed(singles.final.unsqueeze(0)));
}

INSTANTIATE_TEST_SUITE_P(Measured, TracInScores, ::testing::Values("loss", "logits"), [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace pathkernel
