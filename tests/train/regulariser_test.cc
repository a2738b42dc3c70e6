#include <pathkernel/core/error.h>
#include <pathkernel/train/regulariser.h>

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <scratch.h>

namespace pathkernel {
namespace {

/// A matrix with a zero in it and a bias.
Tensors weights(at::ScalarType dtype) {
  at::manual_seed(5);
  Tensors w = {at::randn({3, 4}, dtype), at::randn({4}, dtype)};
  w[0][1][2] = 0;
  for (Tensor& t : w) t.requires_grad_(true);
  return w;
}

TEST(Regulariser, ValueIsTheNorm) {
  const Tensors w = {at::tensor({3.0, -4.0}, at::kFloat), at::tensor({0.0, -2.0}, at::kFloat)};
  EXPECT_DOUBLE_EQ(make_regulariser("l1:0.5")->value(w), 4.5);
  EXPECT_DOUBLE_EQ(make_regulariser("l2:0.5")->value(w), 7.25);
}

TEST(Regulariser, GradientIsAutogradsOfItsValue) {
  const Tensors w = weights(at::kDouble);
  Tensor l1 = at::zeros({}, at::kDouble), l2 = at::zeros({}, at::kDouble);
  for (const Tensor& t : w) {
    l1 = l1 + 0.03 * t.abs().sum();
    l2 = l2 + 0.07 / 2 * (t * t).sum();
  }
  for (const auto& [name, loss] : {std::pair{"l1:0.03", l1}, {"l2:0.07", l2}}) {
    SCOPED_TRACE(name);
    for (const Tensor& t : w) t.mutable_grad() = Tensor();
    loss.backward();
    const auto regulariser = make_regulariser(name);
    const Tensors gradient = regulariser->gradient(w);
    EXPECT_NEAR(regulariser->value(w), loss.item<double>(), 1e-15);
    ASSERT_EQ(gradient.size(), w.size());
    for (size_t i = 0; i < w.size(); ++i) {
      EXPECT_TRUE(at::allclose(gradient[i], w[i].grad(), 1e-15, 0));
      EXPECT_FALSE(gradient[i].requires_grad());
    }
    EXPECT_EQ(gradient[0][1][2].item<double>(), 0);
  }
}

TEST(Regulariser, KeepsTheWeightsTheirDtypeAndTheirNumbers) {
  const Tensors w = weights(at::kFloat), before = copies(w);
  for (const char* name : {"l1:0.1", "l2:0.1"})
    for (const Tensor& g : make_regulariser(name)->gradient(w)) EXPECT_EQ(g.scalar_type(), at::kFloat);
  for (size_t i = 0; i < w.size(); ++i) EXPECT_TRUE(at::equal(w[i], before[i]));
}

TEST(Regulariser, NameMakesTheSameAgain) {
  for (const char* text : {"l1:1e-4", "l2:0.1", "l2:3e-300"}) {
    const auto one = make_regulariser(text), two = make_regulariser(one->name());
    EXPECT_EQ(one->name(), two->name());
    EXPECT_EQ(one->value({at::ones({2})}), two->value({at::ones({2})}));
  }
  EXPECT_EQ(make_regulariser("l1:1e-4")->name(), "l1:0.0001");
  EXPECT_EQ(make_regulariser(""), nullptr);
}

TEST(Regulariser, RefusesWhatItCannotRead) {
  EXPECT_REFUSED(InvalidInput, "use l1:ALPHA or l2:ALPHA", make_regulariser("elastic:0.1"));
  EXPECT_REFUSED(InvalidInput, "above zero", make_regulariser("l2"));
  EXPECT_REFUSED(InvalidInput, "above zero", make_regulariser("l2:0"));
  EXPECT_REFUSED(InvalidInput, "above zero", make_regulariser("l1:-1"));
  EXPECT_REFUSED(InvalidInput, "a number behind the colon", make_regulariser("l1:1e-4x"));
  EXPECT_REFUSED(InvalidInput, "a number behind the colon", make_regulariser("l1:inf"));
}

}  // namespace
}  // namespace pathkernel
