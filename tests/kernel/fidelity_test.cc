// How far kernels account for what training changed, on networks where the answer is known.

#include <ATen/ops/cat.h>
#include <ATen/ops/matmul.h>
#include <gtest/gtest.h>
#include <pathkernel/data/batch_order.h>
#include <pathkernel/kernel/fidelity.h>
#include <sweep/small_runs.h>
#include <tangent/function_model.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace pathkernel {
namespace {

/// f(x; W) = xW: the tangent kernel is ⟨x, x'⟩ for every output, whatever the weights are.
testing::MakeModel linear(int64_t inputs, int64_t outputs) {
  return [=] {
    at::manual_seed(7);
    return std::make_unique<testing::FunctionModel>(NamedTensors{{"W", at::randn({inputs, outputs}, at::kDouble)}}, NamedTensors{},
                                                    [](const Tensors& w, const Tensors&, const Tensor& x, Mode) { return at::matmul(x, w[0]); });
  };
}

Fidelity of(const testing::RecordedRun& run, const Tensor& queries, const FidelityOptions& options = {}) {
  const auto model = run.model();
  return fidelity(run.open(), *model, run.data(), {queries}, options);
}

/// Where the kernel never changes, residuals' means in time are coefficients, and nothing is left.
TEST(Fidelity, OfALinearNetworkIsOne) {
  const Dataset data = testing::random_classes(18, {5}, 3, 1);
  const Tensor queries = at::randn({12, 5}, at::kDouble);
  Manifest manifest = testing::manifest({.lr = 0.4}, "cross-entropy", 6);
  for (const int64_t accumulate : {1, 2}) {
    manifest.accumulate = accumulate;
    const Fidelity found = of({linear(5, 3), data, manifest, shuffled_batches(18, 6, 5, 3)}, queries);
    EXPECT_EQ(found.steps, 15);
    EXPECT_EQ(found.outputs, 3);
    EXPECT_NEAR(found.flow, 1, 1e-12);
    for (const char* kernel : {"path", "untrained", "trained"}) {
      EXPECT_NEAR(found.of(kernel).time_mean, 1, 1e-12) << kernel;
      EXPECT_NEAR(found.of(kernel).least_squares, 1, 1e-10) << kernel;
      EXPECT_NEAR(found.of(kernel).spread, 0, 1e-10) << kernel;
    }
    for (const KernelFidelity& k : found.kernels) EXPECT_LT(k.tautology, 1e-10) << k.kernel << ": any kernel gives the change back";
    EXPECT_GT(found.of("noise").spread, 0.5);
    EXPECT_LT(found.of("noise").least_squares, 0.5);
    EXPECT_TRUE(std::isnan(found.of("noise").time_mean));
    EXPECT_EQ(found.of("gaussian").negative, 0);
  }
}

TEST(Fidelity, OfOtherOptimizersJudgesFitsOnly) {
  const Dataset data = testing::random_classes(18, {5}, 3, 1);
  const Tensor queries = at::randn({12, 5}, at::kDouble);
  const Fidelity adam = of({linear(5, 3), data, testing::manifest({.name = "adam", .lr = 0.05}, "cross-entropy", 6), shuffled_batches(18, 6, 5, 3)}, queries);
  EXPECT_TRUE(std::isnan(adam.flow));
  EXPECT_TRUE(std::isnan(adam.of("path").time_mean));
  EXPECT_TRUE(std::isnan(adam.of("path").tautology));
  EXPECT_NEAR(adam.of("path").least_squares, 1, 1e-10) << "still linear in the inputs";
}

/// A gradient moves the weights as long as the momentum carries it, and no longer than the run: of a linear network nothing is left over.
TEST(Fidelity, OfMomentumIsOneToo) {
  const Dataset data = testing::random_classes(18, {5}, 3, 1);
  const Tensor queries = at::randn({12, 5}, at::kDouble);
  const std::vector<OptimizerSettings> all = {
      {.lr = 0.05, .momentum = 0.8},
      {.lr = 0.05, .momentum = 0.8, .dampening = 0.3},
      {.lr = 0.05, .momentum = 0.8, .nesterov = true},
      {.lr = 0.05, .momentum = 0.8, .dampening = 0.3, .schedule = "cosine"},
      {.lr = 0.3, .clip_norm = 0.2},
      {.lr = 0.05, .momentum = 0.8, .clip_norm = 0.2, .warmup = 3},
  };
  for (const OptimizerSettings& settings : all) {
    const Fidelity found = of({linear(5, 3), data, testing::manifest(settings, "cross-entropy", 6), shuffled_batches(18, 6, 4, 3)}, queries);
    EXPECT_EQ(found.steps, 12);
    EXPECT_NEAR(found.flow, 1, 1e-12) << describe(settings);
    for (const char* kernel : {"path", "untrained", "trained"}) EXPECT_NEAR(found.of(kernel).time_mean, 1, 1e-12) << kernel << ": " << describe(settings);
  }
}

/// Against sums written out: the residuals are those of training, the kernel that of the segment.
TEST(Fidelity, IsWhatTheSumsSay) {
  Dataset data = testing::random_classes(10, {4}, 3, 5);
  data.class_names.clear();
  data.targets = data.inputs.narrow(1, 0, 1) * data.inputs.narrow(1, 1, 1);
  const auto make = [] {  // f = v·tanh(Ux)/2, one output
    at::manual_seed(9);
    return std::make_unique<testing::FunctionModel>(NamedTensors{{"U", at::randn({4, 6}, at::kDouble)}, {"v", at::randn({6, 1}, at::kDouble)}}, NamedTensors{},
                                                    [](const Tensors& w, const Tensors&, const Tensor& x, Mode) { return at::matmul(at::tanh(at::matmul(x, w[0])), w[1]) / 2; });
  };
  const testing::RecordedRun run(make, data, testing::manifest({.lr = 0.3}, "mse", 10), shuffled_batches(10, 10, 6, 3));
  const Tensor queries = at::randn({8, 4}, at::kDouble);
  const Fidelity found = of(run, queries);

  const auto features = [](const Tensor& x, const Tensors& w) {  // [n, P] Jacobian by hand
    const Tensor h = at::tanh(at::matmul(x, w[0])), slope = (1 - h * h) * w[1].squeeze(1);
    return at::cat({(x.unsqueeze(2) * slope.unsqueeze(1)).reshape({x.size(0), -1}), h}, 1) / 2;
  };
  const auto f = [](const Tensor& x, const Tensors& w) { return at::matmul(at::tanh(at::matmul(x, w[0])), w[1]).squeeze(1) / 2; };
  Tensors w;
  for (const auto& [name, p] : make()->parameters()) w.push_back(p.detach().clone());
  const Tensors first = w;
  Tensor K = at::zeros({8, 10}, at::kDouble), r_mean = at::zeros({10}, at::kDouble);
  for (int s = 0; s < 6; ++s) {
    const Tensor J = features(data.inputs, w), r = 2 * (f(data.inputs, w) - data.targets.squeeze(1)), step = at::matmul(r, J) * (-0.3 / 10);
    const Tensors next = {w[0] + step.narrow(0, 0, 24).view({4, 6}), w[1] + step.narrow(0, 24, 6).view({6, 1})};
    for (const double u : {0.5 - std::sqrt(3) / 6, 0.5 + std::sqrt(3) / 6}) {
      const Tensors between = {w[0] + u * (next[0] - w[0]), w[1] + u * (next[1] - w[1])};
      K += at::matmul(features(queries, between), J.t()) * (0.3 / 10 / 2);
    }
    r_mean += r / 6;
    w = next;
  }
  const Tensor F = f(queries, w) - f(queries, first);
  const auto r_squared = [&](const Tensor& p) { return 1 - ((F - p).square().sum() / (F - F.mean()).square().sum()).item<double>(); };
  EXPECT_NEAR(found.of("path").time_mean, r_squared(-at::matmul(K, r_mean)), 1e-11);
  EXPECT_NEAR(found.of("untrained").time_mean, r_squared(-at::matmul(at::matmul(features(queries, first), features(data.inputs, first).t()), r_mean) * (0.3 / 10 * 6)), 1e-11);
  EXPECT_NEAR(found.of("path").negative, K.lt(0).to(at::kDouble).mean().item<double>(), 1e-15);
  EXPECT_GT(found.flow, 0.9999);
  const std::string csv = fidelity_csv(found);
  EXPECT_EQ(std::count(csv.begin(), csv.end(), '\n'), 7);
}

TEST(Fidelity, RefusesWhatItCannotJudge) {
  const Dataset data = testing::random_classes(12, {5}, 3, 1);
  const testing::RecordedRun run(linear(5, 3), data, testing::manifest({.lr = 0.4}, "cross-entropy", 6), shuffled_batches(12, 6, 1, 3));
  EXPECT_REFUSED(InvalidInput, "eight queries or more", of(run, data.inputs.narrow(0, 0, 7)));
  EXPECT_REFUSED(InvalidInput, "12 examples, 8 queries and 3 outputs take 20.2 KiB", of(run, data.inputs.narrow(0, 0, 8), {.memory = 1000}));
  EXPECT_REFUSED(InvalidInput, "there is no kernel \"ntk\"", of(run, data.inputs).of("ntk"));
  const Tensor damaged = data.inputs.clone();
  damaged[4][1] = std::numeric_limits<double>::quiet_NaN();
  EXPECT_REFUSED(InvalidInput, "fidelity: the queries hold NaN or an infinite number in row 4", of(run, damaged));
  EXPECT_TRUE(std::isnan(of(run, data.inputs.narrow(0, 0, 1).repeat({10, 1})).flow)) << "one query ten times: nothing to tell apart";
}

}  // namespace
}  // namespace pathkernel
