// Runs whose batches couple their examples: complete with the buffers accounted for (theory 2.5), however they are asked and recorded.

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <pathkernel/data/batch_order.h>
#include <pathkernel/explain/agreement.h>

#include "sweep/small_runs.h"
#include "tangent/function_model.h"

namespace pathkernel {
namespace {

using testing::RecordedRun;

double largest(const Tensor& t) { return t.abs().max().item<double>(); }

OptimizerSettings momentum() { return {.lr = 0.05, .momentum = 0.9, .weight_decay = 0.01}; }
OptimizerSettings adamw() { return {.name = "adamw", .lr = 0.01, .weight_decay = 0.1}; }

Dataset images(int64_t n, at::ScalarType dtype) {
  Dataset data = testing::random_classes(n, {2, 6, 5}, 3, 1);
  data.inputs = data.inputs.to(dtype);
  return data;
}

struct Recorded {
  OptimizerSettings optimizer = momentum();
  at::ScalarType dtype = at::kDouble;
  int64_t accumulate = 1;
  double ema = 0;
};

RecordedRun resnet_run(const Recorded& r, const std::string& activation = "relu") {
  Manifest manifest = testing::manifest(r.optimizer, "cross-entropy", 7);
  manifest.checkpoint_every = 3;
  manifest.accumulate = r.accumulate;
  manifest.ema = r.ema;
  return RecordedRun(testing::network("resnet:2-4-5-3", activation, r.dtype), images(18, r.dtype), manifest, shuffled_batches(18, 7, 3, 3));
}

/// Batch norm over rows, with dropout before and after it.
std::unique_ptr<Model> net_with_dropout(at::ScalarType dtype) {
  at::manual_seed(6);
  const auto make = [=](std::vector<int64_t> shape) { return (at::randn(shape, at::kDouble) * 0.6).to(dtype); };
  NamedTensors w = {{"a", make({8, 60})}, {"scale", make({8}) + 1}, {"shift", make({8})}, {"b", make({3, 8})}};
  NamedTensors buffers = {{"mean", at::zeros({8}, dtype)}, {"var", at::ones({8}, dtype)}};
  return std::make_unique<testing::FunctionModel>(w, buffers, [](const Tensors& w, const Tensors& b, const Tensor& x, Mode mode) {
    const bool training = mode == Mode::train;
    const Tensor h = at::linear(at::dropout(x.flatten(1), 0.2, training), w[0]);
    return at::linear(at::dropout(at::relu(at::batch_norm(h, w[1], w[2], b[0], b[1], training, 0.1, 1e-5, true)), 0.3, training), w[3]);
  });
}

void expect_complete(const Ledger& ledger, double share) {
  EXPECT_TRUE(ledger.settings.coupled);
  EXPECT_LE(largest(ledger.certificate.residual_to_contributions), share);
  EXPECT_LE(((ledger.final - ledger.initial - ledger.change()).abs() / ledger.contributions.abs().sum(0)).max().item<double>(), share);
  EXPECT_EQ(first_disagreement(ledger), "");
  EXPECT_GT(ledger.buffers.abs().min().item<double>(), 0);
  EXPECT_TRUE(ledger.certificate.replay_exact);
  EXPECT_EQ(ledger.certificate.correction_share, 0) << "every operation of these nets has a rule";
}

class Coupled : public ::testing::TestWithParam<OptimizerSettings> {};
std::string optimizer_name(const ::testing::TestParamInfo<OptimizerSettings>& info) { return info.param.name; }

TEST_P(Coupled, ResNetIsComplete) {
  for (const std::string activation : {"relu", "gelu"}) {
    const RecordedRun run = resnet_run({.optimizer = GetParam()}, activation);
    for (const Convention convention : {Convention::propagate, Convention::ledger}) {
      SweepOptions options = testing::in_double("log-odds");
      options.convention = convention;
      const Ledger ledger = run.explain(testing::first_inputs(run.data(), 4), options);
      expect_complete(ledger, 1e-10);
      EXPECT_GT(ledger.certificate.split_uncertainty.min().item<double>(), 0);
      EXPECT_NE(ledger.certificate.brief(ledger.settings.conventions()).find("examples coupled in their batch"), std::string::npos);
    }
  }
}

RecordedRun dropout_run(const OptimizerSettings& optimizer, at::ScalarType dtype, int64_t batch, int64_t accumulate) {
  Manifest manifest = testing::manifest(optimizer, "cross-entropy", batch);
  manifest.accumulate = accumulate;
  return RecordedRun([=] { return net_with_dropout(dtype); }, images(18, dtype), manifest, shuffled_batches(18, batch, 3, 3));
}

/// The masks are those of the recorded step, in the run's precision and in another.
TEST_P(Coupled, WithDropout) {
  for (const at::ScalarType dtype : {at::kDouble, at::kFloat}) {
    const RecordedRun run = dropout_run(GetParam(), dtype, 7, 1);
    expect_complete(run.explain(testing::first_inputs(run.data(), 4), testing::in_double("logits")), 1e-10);
  }
}

/// Several passes a step, each with its own statistics and its own dropout masks; and the averaged network.
TEST_P(Coupled, AccumulatedAndAveraged) {
  const RecordedRun run = resnet_run({.optimizer = GetParam(), .accumulate = 2, .ema = 0.9});
  for (const auto network : {SweepOptions::Asked::average, SweepOptions::Asked::weights}) {
    SweepOptions options = testing::in_double("log-odds");
    options.network = network;
    expect_complete(run.explain(testing::first_inputs(run.data(), 3), options), 1e-10);
  }
  const RecordedRun random = dropout_run(GetParam(), at::kDouble, 9, 3);
  expect_complete(random.explain(testing::first_inputs(random.data(), 3), testing::in_double("log-odds")), 1e-10);
}

TEST_P(Coupled, Float32AndItsPathInFloat64) {
  const RecordedRun run = resnet_run({.optimizer = GetParam(), .dtype = at::kFloat});
  const Queries queries = testing::first_inputs(run.data(), 4);
  SweepOptions single = testing::in_double("log-odds");
  single.precision = at::kFloat;
  const Ledger rough = run.explain(queries, single), fine = run.explain(queries, testing::in_double("log-odds"));
  expect_complete(rough, 1e-6);
  expect_complete(fine, 1e-10);
  EXPECT_GT(largest(fine.rounding), 0);
  EXPECT_LE(largest(fine.certificate.rounding_to_change), 1e-3);
  EXPECT_LE(((rough.contributions - fine.contributions).abs().sum(0) / fine.contributions.abs().sum(0)).max().item<double>(), 1e-4);
}

/// A bias before batch norm has no gradient: what floating point makes of that drives Adam, which divides by it. The shares stay
/// small (those of the summed loss's rows would be some 1e6), and what the noise did is rounding.
TEST(CoupledNoise, BiasBeforeBatchNorm) {
  const auto net = [](at::ScalarType dtype) -> std::unique_ptr<Model> {
    at::manual_seed(6);
    const auto make = [=](std::vector<int64_t> shape) { return (at::randn(shape, at::kDouble) * 0.6).to(dtype); };
    NamedTensors w = {{"a", make({8, 60})}, {"bias", make({8})}, {"scale", make({8}) + 1}, {"b", make({3, 8})}};
    NamedTensors buffers = {{"mean", at::zeros({8}, dtype)}, {"var", at::ones({8}, dtype)}};
    return std::make_unique<testing::FunctionModel>(w, buffers, [](const Tensors& w, const Tensors& b, const Tensor& x, Mode mode) {
      return at::linear(at::tanh(at::batch_norm(at::linear(x.flatten(1), w[0], w[1]), w[2], {}, b[0], b[1], mode == Mode::train, 0.1, 1e-5, true)), w[3]);
    });
  };
  for (const at::ScalarType dtype : {at::kFloat, at::kDouble}) {
    const RecordedRun run([=] { return net(dtype); }, images(18, dtype), testing::manifest(adamw(), "cross-entropy", 7), shuffled_batches(18, 7, 3, 3));
    const Ledger ledger = run.explain(testing::first_inputs(run.data(), 4), testing::in_double("log-odds"));
    expect_complete(ledger, 1e-10);
    EXPECT_LE(largest(ledger.contributions), 10);
    const int64_t bias = 1;
    EXPECT_LE(largest(ledger.by_layer[bias]), 1e-8);
    EXPECT_EQ(largest(ledger.rounding) > 1e-3, dtype == at::kFloat);
  }
}

/// Chunks of queries, several measurements at once, a window, a stride: the same shares or as complete.
TEST_P(Coupled, HoweverItIsAsked) {
  const RecordedRun run = resnet_run({.optimizer = GetParam()});
  const Queries queries = testing::first_inputs(run.data(), 5);
  const Ledger whole = run.explain(queries, testing::in_double("logits"));
  expect_complete(whole, 1e-10);
  ASSERT_EQ(whole.query_count(), 15);
  const Ledger one = run.explain(queries, testing::in_double("logit:1"));
  EXPECT_LE(largest(one.contributions - whole.contributions.slice(1, 1, 15, 3)), 1e-12);

  SweepOptions little = testing::in_double("logits");
  int64_t steps = 0;
  for (little.memory = 1 << 15;; little.memory += little.memory / 4) {
    try {
      expect_complete(run.explain(queries, little, [&](const std::string&, int64_t, int64_t total) { steps = total; }), 1e-10);
      break;
    } catch (const InvalidInput&) {
      ASSERT_LT(little.memory, 1 << 26);
    }
  }
  EXPECT_GE(steps, 2 * run.open().steps()) << "one chunk only";
  const Ledger parts = run.explain(queries, little);
  EXPECT_LE(largest(whole.contributions - parts.contributions), 1e-12);
  EXPECT_LE(largest(whole.by_layer - parts.by_layer), 1e-12);
  EXPECT_LE(largest(whole.buffers - parts.buffers), 1e-12);

  SweepOptions window = testing::in_double("log-odds");
  window.from = 2, window.until = 8;
  expect_complete(run.explain(queries, window), 1e-10);
  SweepOptions stride = testing::in_double("log-odds");
  stride.stride = 3;
  expect_complete(run.explain(queries, stride), 1e-10);
}

/// Whose the buffers' term is: with the examples' shares and what is left of the first statistics nothing of it remains.
void expect_shared_out(const Ledger& ledger, double share) {
  ASSERT_TRUE(ledger.statistics.defined());
  EXPECT_GT(largest(ledger.statistics), 0);
  EXPECT_LE(largest(ledger.other_buffers()), share * largest(ledger.statistics.abs().sum(0) + ledger.first_statistics.abs()));
}

TEST_P(Coupled, TheBuffersTermIsSharedOut) {
  const RecordedRun run = resnet_run({.optimizer = GetParam(), .accumulate = 2, .ema = 0.9});
  const Queries queries = testing::first_inputs(run.data(), 3);
  for (const auto& [network, stride, from] : {std::tuple(SweepOptions::Asked::average, 1, 0), std::tuple(SweepOptions::Asked::weights, 3, 2)}) {
    SweepOptions options = testing::in_double("logits");
    options.network = network, options.stride = stride, options.from = from;
    const Ledger plain = run.explain(queries, options);
    options.statistics = true;
    const Ledger ledger = run.explain(queries, options);
    expect_complete(ledger, 1e-10);
    expect_shared_out(ledger, 1e-12);
    EXPECT_EQ(largest(ledger.contributions - plain.contributions), 0) << "the account itself is the same";
    EXPECT_FALSE(plain.statistics.defined());
  }
  const RecordedRun single = resnet_run({.optimizer = GetParam(), .dtype = at::kFloat});
  SweepOptions options = testing::in_double("log-odds");
  options.statistics = true;
  const Ledger rounded = single.explain(queries, options);
  expect_shared_out(rounded, 1e-5);
  EXPECT_GT(largest(rounded.other_buffers()), 0) << "the run rounds its statistics";
}

INSTANTIATE_TEST_SUITE_P(Optimizers, Coupled, ::testing::Values(momentum(), adamw()), optimizer_name);

TEST(CoupledRefusals, ThePathKernel) {
  Dataset data;
  data.name = "line";
  data.inputs = at::randn({6, 3}, at::kDouble);
  data.targets = at::randn({6}, at::kDouble);
  const auto norm = []() -> std::unique_ptr<Model> {
    at::manual_seed(1);
    NamedTensors w = {{"w", at::randn({1, 3}, at::kDouble)}};
    return std::make_unique<testing::FunctionModel>(w, NamedTensors{}, [](const Tensors& w, const Tensors&, const Tensor& x, Mode mode) {
      const Tensor y = at::linear(x, w[0]);
      return mode == Mode::train ? y - y.mean(0, true) * 0.5 : y;
    });
  };
  const RecordedRun run(norm, data, testing::manifest({.lr = 0.1}, "mse", 3), shuffled_batches(6, 3, 1, 3));
  SweepOptions options = testing::in_double("output:0");
  const Ledger ledger = run.explain(testing::first_inputs(data, 2), options);
  EXPECT_TRUE(ledger.settings.coupled);
  EXPECT_LE(largest(ledger.certificate.residual_to_contributions), 1e-12);
  options.path_kernel = true;
  EXPECT_REFUSED(InvalidInput, "leave the path kernel out", run.explain(testing::first_inputs(data, 2), options));
}

TEST(CoupledRefusals, StatisticsOfANetworkWithoutBuffers) {
  const RecordedRun run(testing::network("mlp:5-8-3", "tanh"), testing::random_classes(18, {5}, 3, 1), testing::manifest(momentum(), "cross-entropy", 7), shuffled_batches(18, 7, 1, 3));
  SweepOptions options = testing::in_double("log-odds");
  options.statistics = true;
  EXPECT_REFUSED(InvalidInput, "has no buffers; leave statistics out", run.explain(testing::first_inputs(run.data(), 2), options));
}

/// Each example for itself: nothing is said of coupling.
TEST(CoupledRefusals, UncoupledRunsAreNot) {
  const RecordedRun run(testing::network("mlp:5-8-3", "tanh"), testing::random_classes(18, {5}, 3, 1), testing::manifest(momentum(), "cross-entropy", 7), shuffled_batches(18, 7, 1, 3));
  const Ledger ledger = run.explain(testing::first_inputs(run.data(), 2), testing::in_double("log-odds"));
  EXPECT_FALSE(ledger.settings.coupled);
  EXPECT_EQ(ledger.settings.conventions().find("coupled"), std::string::npos);
}

}  // namespace
}  // namespace pathkernel
