// What clipping does to gradients and says of it; tests/python/test_optimizers.py compares the bits with torch.nn.utils.
#include <pathkernel/train/clipping.h>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

namespace pathkernel {
namespace {

/// Two parameters of zeros; with plain SGD and lr 1 they become minus the clipped gradients.
struct Clipping {
  NamedTensors named = {{"a", at::zeros({2, 2}, at::kDouble)}, {"b", at::zeros({3}, at::kDouble)}};
  std::unique_ptr<Optimizer> optimizer;

  explicit Clipping(const OptimizerSettings& settings) : optimizer(make_optimizer(settings, named)) {}
  Tensors clipped(const Tensors& gradients) {
    const Tensors w = values(named);
    for (const Tensor& t : w) t.zero_();
    optimizer->step(w, gradients, 1);
    return {-w[0], -w[1]};
  }
};

Tensors some_gradients() { return {at::tensor({3.0, 0.0, -4.0, 0.5}, at::kDouble).view({2, 2}), at::tensor({12.0, -0.25, 0.0}, at::kDouble)}; }

double norm(const Tensors& tensors) { return std::sqrt((tensors[0].square().sum() + tensors[1].square().sum()).item<double>()); }

TEST(Clipping, ByNormScalesAllParametersAlike) {
  const Tensors g = some_gradients(), before = copies(g);
  Clipping clipping({.lr = 1, .clip_norm = 2});
  const Tensors clipped = clipping.clipped(g);
  const double kappa = 2 / (norm(g) + 1e-6);
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_TRUE(at::allclose(clipped[i], g[i] * kappa, 1e-15, 0));
    EXPECT_TRUE(at::equal(g[i], before[i])) << "the gradients given are not the optimizer's to change";
  }
  EXPECT_NEAR(norm(clipped), 2, 1e-6);
  for (const LinearForm& form : clipping.optimizer->linear_form()) {
    EXPECT_NEAR(form.kappa, kappa, 1e-16);
    EXPECT_FALSE(form.M.defined());
  }
}

TEST(Clipping, ByNormLeavesSmallGradientsAlone) {
  const Tensors g = some_gradients();
  Clipping clipping({.lr = 1, .clip_norm = 100});
  const Tensors clipped = clipping.clipped(g);
  for (size_t i = 0; i < 2; ++i) EXPECT_TRUE(at::equal(clipped[i], g[i]));
  EXPECT_EQ(clipping.optimizer->linear_form()[0].kappa, 1);
}

TEST(Clipping, ByValueCutsEachNumber) {
  const Tensors g = some_gradients();
  Clipping clipping({.lr = 1, .clip_value = 1});
  const Tensors clipped = clipping.clipped(g);
  EXPECT_TRUE(at::equal(clipped[0], at::tensor({1.0, 0.0, -1.0, 0.5}, at::kDouble).view({2, 2})));
  EXPECT_TRUE(at::equal(clipped[1], at::tensor({1.0, -0.25, 0.0}, at::kDouble)));
  const auto forms = clipping.optimizer->linear_form();
  EXPECT_EQ(forms[0].kappa, 1);
  EXPECT_TRUE(at::allclose(forms[0].M, at::tensor({1.0 / 3, 1.0, 0.25, 1.0}, at::kDouble).view({2, 2}), 1e-15, 0)) << "1 where the gradient is 0";
  EXPECT_TRUE(at::allclose(forms[1].M, at::tensor({1.0 / 12, 1.0, 1.0}, at::kDouble), 1e-15, 0));
  clipping.clipped({at::ones({2, 2}, at::kDouble) / 2, g[1]});
  EXPECT_FALSE(clipping.optimizer->linear_form()[0].M.defined()) << "nothing was cut";
}

TEST(Clipping, NormComesBeforeValue) {
  const Tensors g = some_gradients();
  Clipping clipping({.lr = 1, .clip_norm = 2, .clip_value = 1});
  const Tensors clipped = clipping.clipped(g);
  const double kappa = 2 / (norm(g) + 1e-6);
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_TRUE(at::allclose(clipped[i], (g[i] * kappa).clamp(-1, 1), 1e-15, 0));
    const LinearForm form = clipping.optimizer->linear_form()[i];
    const Tensor M = form.M.defined() ? form.M : at::ones({}, at::kDouble);
    EXPECT_TRUE(at::allclose(clipped[i], form.kappa * M * g[i], 1e-15, 0));
  }
}

TEST(Clipping, LeavesAParameterWithoutGradientOut) {
  Clipping clipping({.lr = 1, .clip_norm = 5, .clip_value = 3});
  const Tensors clipped = clipping.clipped({some_gradients()[0], Tensor()});
  EXPECT_TRUE(at::allclose(clipped[0], some_gradients()[0].mul(5 / (std::sqrt(25.25) + 1e-6)).clamp(-3, 3), 1e-15, 0));
  EXPECT_TRUE(at::equal(clipped[1], at::zeros({3}, at::kDouble)));
  EXPECT_EQ(clipping.optimizer->linear_form()[1].kappa, 1);
  clipping.clipped({Tensor(), Tensor()});  // no gradient at all: nothing to take a norm of
  EXPECT_EQ(clipping.optimizer->linear_form()[0].mu, 1);
}

}  // namespace
}  // namespace pathkernel
