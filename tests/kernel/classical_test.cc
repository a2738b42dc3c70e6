// Classical kernels, their sums and products, their texts and their gradients. (Against scikit-learn: tests/python/test_kernels.py.)

#include "comparisons.h"

#include <pathkernel/core/error.h>
#include <pathkernel/kernel/classical.h>
#include <pathkernel/kernel/network.h>

#include <ATen/ops/eye.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/zeros.h>
#include <scratch.h>

#include <cmath>

namespace pathkernel {
namespace {

using testing::relative_difference;

const std::vector<std::string> kernels = {
    "linear", "linear:lengthscale=[1 2 0.5]", "polynomial:degree=2,gamma=0.5,coef0=0.3", "rbf:1.5", "rbf:[1 2 0.5]", "laplace:2",
        "laplace:[1 2 3],norm=1", "matern:0.5", "matern:nu=1.5,lengthscale=[1 2 3]",
    "matern:2.5,0.7", "rq:lengthscale=1.2,alpha=0.6", "periodic:lengthscale=0.8,period=1.7", "periodic:[1 2 3],[1.5 2 3]", "cosine", "0.5",
        "constant:2", "0.5*rbf:1.5 + linear", "rbf*linear*cosine",
    "2*(rbf + 0.1*linear)*cosine", "rbf*(linear + cosine)", "2*(3*rbf)", "(rbf + linear) + cosine", "(rbf*linear)*cosine", "1e-05*rbf:1e+01+linear",
        "0.3*ntk(dense:b=0.1 relu residual(dense erf dense) dense) + rbf",
};

TEST(Classical, TextsReadBackAsTheSameKernel) {
  const Tensor x = at::randn({5, 3}, at::kDouble);
  for (const std::string& text : kernels) {
    const KernelPtr kernel = parse_kernel(text), again = parse_kernel(kernel->specification());
    EXPECT_EQ(again->specification(), kernel->specification());
    EXPECT_TRUE(again->gram(x).equal(kernel->gram(x))) << text << "\n" << kernel->specification();
    const auto names = [](const Kernel& k) {
      std::vector<std::string> list;
      for (const Hyperparameter& p : k.hyperparameters()) list.push_back(p.name);
      return list;
    };
    EXPECT_EQ(names(*again), names(*kernel)) << text;
  }
}

TEST(Classical, SymmetricRectangularAndDiagonalAgree) {
  const Tensor x = at::randn({30, 3}, at::kDouble), y = at::randn({4, 3}, at::kDouble);
  for (const std::string& text : kernels) {
    const KernelPtr kernel = parse_kernel(text);
    const Tensor K = kernel->gram(x);
    testing::expect_positive_semi_definite(K, 1e-15);
    EXPECT_LE(relative_difference(kernel->diagonal(x), K.diagonal()), 1e-14) << text;
    EXPECT_LE(relative_difference(kernel->gram(y, x).t(), kernel->gram(x, y)), 1e-14) << text;
    EXPECT_LE(relative_difference(kernel->gram(x.to(at::kFloat), y.to(at::kFloat)), kernel->gram(x, y)), 1e-5) << text;
    EXPECT_EQ(kernel->gram(x.to(at::kFloat)).scalar_type(), at::kFloat) << text;
    if (text.find("ntk") != std::string::npos) continue;
    EXPECT_TRUE(kernel->gram(x.reshape({30, 3, 1}), y.reshape({4, 3, 1})).equal(kernel->gram(x, y))) << "inputs of any shape are flattened: " << text;
  }
}

TEST(Classical, KeepTheirDigitsNextToTheDiagonal) {
  const Tensor x = at::ones({1, 3}, at::kDouble) * 1000, y = x + 1e-8;
  EXPECT_NEAR(1 - laplace_kernel()->gram(x, y).item<double>(), -std::expm1(-(y - x).norm().item<double>()),
              1e-15) << "a matrix product would leave 1e-5";
}

TEST(Classical, CombinationsAreEntrywise) {
  const Tensor x = at::randn({5, 3}, at::kDouble);
  const Tensor rbf = rbf_kernel()->gram(x), linear = linear_kernel()->gram(x), cosine = cosine_kernel()->gram(x);
  EXPECT_LE(relative_difference(parse_kernel("2*(rbf + 0.1*linear)*cosine + 0.25")->gram(x), 2 * (rbf + 0.1 * linear) * cosine + 0.25), 1e-15);
  EXPECT_LE(relative_difference(scaled(3, product_of({rbf_kernel(), linear_kernel()}))->gram(x), 3 * rbf * linear), 1e-15);
}

TEST(Classical, CosineOfZeroIsZero) {
  const Tensor x = at::eye(3, at::kDouble).narrow(0, 0, 2) * 1e-200, zero = at::zeros({1, 3}, at::kDouble);
  EXPECT_TRUE(cosine_kernel()->gram(x).equal(at::eye(2, at::kDouble))) << "neither tiny numbers";
  EXPECT_EQ(cosine_kernel()->gram(x, zero).abs().sum().item<double>(), 0);
  EXPECT_EQ(cosine_kernel()->gram(zero).item<double>(), 0);
  EXPECT_EQ(cosine_kernel()->diagonal(zero).item<double>(), 0);
}

TEST(Classical, GradientsAreThoseOfDifferences) {
  const Tensor x = at::randn({6, 3}, at::kDouble), weights = at::randn({6, 6}, at::kDouble);
  for (const std::string& text : kernels) {
    const KernelPtr kernel = parse_kernel(text);
    const auto objective = [&] { return (kernel->gram(x) * weights).sum(); };
    for (const Hyperparameter& p : kernel->hyperparameters()) {
      const Tensor leaf = p.value.log().requires_grad_(true);
      kernel->set_hyperparameter(p.name, leaf.exp());
      objective().backward();
      const Tensor direction = at::ones_like(p.value), theta = leaf.detach();
      const double h = 1e-3;
      const auto at_step = [&](double step) {
        kernel->set_hyperparameter(p.name, (theta + step * direction).exp());
        return objective().item<double>();
      };
      const double numerical = (8 * (at_step(h) - at_step(-h)) - (at_step(2 * h) - at_step(-2 * h))) / (12 * h);
      EXPECT_NEAR(leaf.grad().sum().item<double>(), numerical, 1e-8 * std::max(1.0, std::abs(numerical))) << text << " " << p.name;
      kernel->set_hyperparameter(p.name, p.value);
    }
  }
}

TEST(Classical, RefuseWhatTheyCannotRead) {
  const auto refused = [](const std::string& text, const std::string& part) { EXPECT_REFUSED(InvalidInput, part, parse_kernel(text)); };
  refused("", "expected a kernel's name");
  refused("rfb", "there is no kernel \"rfb\"; there are");
  refused("rbf:degree=2", "does not understand \"degree=2\"; it takes lengthscale=");
  refused("rbf:0", "above zero");
  refused("rbf:[1 -2]", "above zero");
  refused("rbf:[1 x]", "no number");
  refused("rbf:[]", "an empty list");
  refused("rbf:[1 2", "] is missing");
  refused("rbf:lengthscale=", "nothing stands");
  refused("rbf:inf", "no number");
  refused("matern:nu=2", "0.5, 1.5 or 2.5");
  refused("laplace:1,norm=3", "1 or 2");
  refused("polynomial:degree=1.5", "positive whole number");
  refused("-1*rbf", "negative");
  refused("rbf +", "expected a kernel's name");
  refused("(rbf", "expected )");
  refused("rbf linear", "expected + or *");
  refused("ntk", "expected the layers in parentheses");
  refused("ntk(dense relu", "expected ) after the layers");
  const Tensor x = at::randn({2, 3}, at::kDouble);
  EXPECT_REFUSED(InvalidInput, "lengthscale has 2 numbers, but an input has 3", parse_kernel("rbf:[1 2]")->gram(x));
  EXPECT_REFUSED(InvalidInput, "lengthscale has 2 numbers, but an input has 3", parse_kernel("2*(linear + rbf:[1 2])")->gram(x));
  EXPECT_REFUSED(InvalidInput, "it has scale, 0.lengthscale, 1.lengthscale",
                 parse_kernel("2*(linear + rbf)")->set_hyperparameter("lengthscale", at::ones({}, at::kDouble)));
  EXPECT_REFUSED(InvalidInput, "float64", rbf_kernel()->set_hyperparameter("lengthscale", at::ones({})));
}

}  // namespace
}  // namespace pathkernel
