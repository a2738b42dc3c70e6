#include <pathkernel/core/error.h>
#include <pathkernel/model/architectures.h>
#include <pathkernel/train/trainer.h>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <limits>

namespace pathkernel {
namespace {

Batch some_batch(at::ScalarType dtype) {
  const auto options = at::TensorOptions().dtype(dtype);
  return {{at::randn({6, 5}, options)}, at::randint(3, {6}), at::arange(6)};
}

TEST(TrainingStep, MovesAgainstTheGradientOfTheMeanLoss) {
  at::manual_seed(1);
  const auto model = make_model("mlp:5-4-3", "tanh", 0, at::kDouble);
  const Tensors w = values(model->parameters());
  const Tensors before = copies(w);
  const Batch batch = some_batch(at::kDouble);

  const Tensor loss = at::cross_entropy_loss(model->forward(batch.inputs, Mode::train)[0], batch.targets);
  loss.backward();
  Tensors gradients;
  for (const Tensor& t : w) gradients.push_back(t.grad().clone());

  const StepResult result = Trainer({.optimizer = {.lr = 0.25}}, *model).step(batch, 0.25, 9);
  EXPECT_NEAR(result.loss, loss.item<double>(), 1e-15);
  for (size_t i = 0; i < w.size(); ++i) EXPECT_TRUE(at::allclose(w[i], before[i] - 0.25 * gradients[i], 1e-14, 1e-15));
}

TEST(TrainingStep, HasNoMoreMicroBatchesThanExamples) {
  const Batch batch = some_batch(at::kDouble);
  EXPECT_EQ(micro_batches(batch, 4).size(), 3);  // of 2 each
  for (const int64_t count : {int64_t(6), int64_t(7), std::numeric_limits<int64_t>::max()}) EXPECT_EQ(micro_batches(batch, count).size(), 6);
}

TEST(TrainingStep, IsTheSameToTheBitAfterRebinding) {
  at::manual_seed(2);
  const Batch batch = some_batch(at::kFloat);
  const OptimizerSettings settings{.name = "adamw", .lr = 0.01, .weight_decay = 0.1};
  const auto run = [&](bool rebind) {
    const auto model = make_model("mlp:5-4-3", "gelu", 3, at::kFloat);
    Trainer trainer({.optimizer = settings}, *model);
    for (int s = 0; s < 5; ++s) {
      if (rebind) model->bind_parameters(copies(values(model->parameters())));
      trainer.step(batch, 0.01, 1);
    }
    return copies(values(model->parameters()));
  };
  const Tensors a = run(false), b = run(true);
  for (size_t i = 0; i < a.size(); ++i) EXPECT_TRUE(at::equal(a[i], b[i]));
}

TEST(TrainingStep, ShowsItsObserverTheGradients) {
  struct Observer : StepObserver {
    Tensor losses, weights;
    Tensors gradients;
    bool began = false;
    void before_forward(Model&, const Batch&) override { began = true; }
    void after_forward(const Tensors&, const Tensor& l, const Tensor& b) override { losses = l, weights = b; }
    void after_passes(const Tensors& g) override { gradients = g; }
  } observer;
  const auto model = make_model("mlp:5-3", "relu", 0, at::kDouble);
  Trainer({}, *model).step(some_batch(at::kDouble), 0.1, 0, &observer);
  EXPECT_TRUE(observer.began);
  EXPECT_EQ(observer.losses.sizes(), at::IntArrayRef({6}));
  EXPECT_NEAR(observer.weights.sum().item<double>(), 1, 1e-15);
  ASSERT_EQ(observer.gradients.size(), 2u);
  EXPECT_EQ(observer.gradients[0].sizes(), at::IntArrayRef({3, 5}));
}

TEST(Objective, MeanSquaredErrorIsPerExample) {
  const Tensor f = at::tensor({1.0, 2.0, 3.0, 4.0}).view({2, 2});
  const Tensor y = at::tensor({0.0, 0.0, 3.0, 2.0}).view({2, 2});
  EXPECT_TRUE(at::allclose(make_objective("mse")->losses({f}, y), at::tensor({2.5, 2.0})));
  const Tensor column = at::tensor({1.0, 2.0}).view({2, 1});
  EXPECT_TRUE(at::allclose(make_objective("mse")->losses({column}, at::tensor({0.0, 4.0})), at::tensor({1.0, 4.0})));
}

TEST(Objective, RefusesTargetsOfTheOtherKind) {
  const Tensor f = at::ones({2, 3});
  EXPECT_THROW(make_objective("mse")->losses({f}, at::tensor({0, 1})), InvalidInput);
  EXPECT_THROW(make_objective("cross-entropy")->losses({f}, at::tensor({0.0, 1.0})), InvalidInput);
  EXPECT_THROW(make_objective("hinges"), InvalidInput);
}

TEST(Objective, WeightsOfTheMeanSumToOne) {
  const Tensor b = make_objective("mse")->weights(at::ones({7}, at::kDouble), {});
  EXPECT_NEAR(b.sum().item<double>(), 1, 1e-15);
}

TEST(Objective, WeightsOfTheSumAreOne) {
  const Tensor b = make_objective("mse", "sum")->weights(at::zeros({7}, at::kDouble), {});
  EXPECT_TRUE(at::equal(b, at::ones({7}, at::kDouble)));
  EXPECT_THROW(make_objective("mse", "median"), InvalidInput);
}

}  // namespace
}  // namespace pathkernel
