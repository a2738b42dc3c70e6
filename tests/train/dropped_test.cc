#include <pathkernel/core/error.h>
#include <pathkernel/model/architectures.h>
#include <pathkernel/train/trainer.h>

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <scratch.h>

namespace pathkernel {
namespace {

at::TensorOptions as_double() { return at::TensorOptions(at::kDouble); }

Batch some_batch() { return {{at::randn({6, 5}, as_double())}, at::randint(3, {6}), at::tensor({7, 3, 9, 3, 1, 4}, at::kLong)}; }

Tensors gradients_of(Model& model, const Batch& batch, const Tensor& b) {
  const Tensor losses = at::cross_entropy_loss(model.forward(batch.inputs, Mode::train)[0], batch.targets, {}, at::Reduction::None);
  losses.mul(b).sum().backward();
  Tensors gradients;
  for (const Tensor& w : values(model.parameters())) {
    gradients.push_back(w.grad().clone());
    w.mutable_grad() = Tensor();
  }
  return gradients;
}

/// A step of SGD with these settings moves by −lr Σ b_i g_i for the b given.
void expect_weights(TrainingSettings settings, const Tensor& b) {
  at::manual_seed(3);
  const Batch batch = some_batch();
  const auto model = make_model("mlp:5-4-3", "tanh", 0, at::kDouble);
  const Tensors before = copies(values(model->parameters())), g = gradients_of(*model, batch, b);
  settings.optimizer = {.lr = 0.5};
  Trainer(settings, *model).step(batch, 0.5, 1);
  const Tensors after = values(model->parameters());
  for (size_t l = 0; l < g.size(); ++l) EXPECT_TRUE(at::allclose(after[l], before[l] - 0.5 * g[l], 1e-13, 1e-15)) << l;
}

TEST(Dropped, HasWeightZeroAndLeavesTheOthersTheirs) { expect_weights({.dropped = {3, 4}}, at::tensor({1., 0., 1., 0., 1., 0.}, as_double()) / 6); }

TEST(Dropped, RenormalisedOthersSumToOne) { expect_weights({.dropped = {3, 4}, .renormalise = true}, at::tensor({1., 0., 1., 0., 1., 0.}, as_double()) / 3); }

// Two passes of three: two stay of the first, one of the second, and the three weigh the same.
TEST(Dropped, MicroBatchesAreRenormalisedTogether) {
  const Tensor b = at::tensor({1., 0., 1., 0., 1., 0.}, as_double()) / 6;
  expect_weights({.accumulate = 2, .dropped = {3, 4}}, b);
  expect_weights({.accumulate = 2, .dropped = {3, 4}, .renormalise = true}, b * 2);
}

// Passes of four and two weigh a half each: b = 1/8 and 1/4, of which 1/8 + 1/8 + 1/4 stay.
TEST(Dropped, PassesOfUnequalSizeKeepTheirWeights) {
  EXPECT_DOUBLE_EQ(Dropped({3, 4}, true).factor({at::tensor({7, 3, 9, 3}, at::kLong), at::tensor({1, 4}, at::kLong)}), 2);
  EXPECT_DOUBLE_EQ(Dropped({3, 4, 9}, true).factor({at::tensor({7, 3, 9, 3}, at::kLong), at::tensor({1, 4}, at::kLong)}), 1 / (1 / 8. + 1 / 4.));
}

TEST(Dropped, AStepOfDroppedExamplesAloneLeavesOnlyDecay) {
  at::manual_seed(3);
  const Batch batch = some_batch();
  const auto model = make_model("mlp:5-4-3", "tanh", 0, at::kDouble);
  const Tensors before = copies(values(model->parameters()));
  const double loss = Trainer({.optimizer = {.lr = 0.5, .weight_decay = 0.1}, .dropped = {1, 3, 4, 7, 9}, .renormalise = true}, *model).step(batch, 0.5, 1).loss;
  EXPECT_EQ(loss, 0);
  const Tensors after = values(model->parameters());
  for (size_t l = 0; l < after.size(); ++l) EXPECT_TRUE(at::allclose(after[l], before[l] * (1 - 0.5 * 0.1), 1e-15, 0));
}

TEST(Dropped, OfABatchWithoutThemNothingChanges) {
  const Dropped dropped({2, 100}, true);
  EXPECT_FALSE(dropped.kept(at::tensor({1, 3}, at::kLong), as_double()).defined());
  EXPECT_EQ(dropped.factor({at::tensor({1, 3}, at::kLong)}), 1);
}

TEST(Dropped, WhatMakesNoSenseIsRefused) {
  const auto model = make_model("mlp:5-4-3", "tanh", 0, at::kDouble);
  EXPECT_REFUSED(InvalidInput, "nothing to renormalise", Trainer({.reduction = "sum", .dropped = {1}, .renormalise = true}, *model));
  EXPECT_REFUSED(InvalidInput, "ascending", Trainer({.dropped = {3, 1}}, *model));
}

}  // namespace
}  // namespace pathkernel
