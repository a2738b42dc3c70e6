// Random features against the kernels they stand for, with their own error bars.

#include "comparisons.h"

#include <pathkernel/core/error.h>
#include <pathkernel/kernel/classical.h>
#include <pathkernel/kernel/network.h>
#include <pathkernel/kernel/random_features.h>

#include <ATen/ops/full.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/stack.h>
#include <scratch.h>

#include <cmath>
#include <functional>
#include <numbers>

namespace pathkernel {
namespace {

struct Case {
  std::string name;
  std::function<RandomFeatures(int64_t, uint64_t)> make;
  Tensor exact;
};

/// (‖x‖‖y‖)ⁿJ_n(θ)/π, theory 6.
Tensor arc_cosine(const Tensor& x, const Tensor& y, int64_t n) {
  const Tensor norms = x.norm(2, 1).unsqueeze(1) * y.norm(2, 1), cos = (at::matmul(x, y.t()) / norms).clamp(-1, 1), theta = cos.acos(),
      sin = theta.sin();
  const Tensor rest = std::numbers::pi - theta;
  const Tensor J = n == 0 ? rest : n == 1 ? sin + rest * cos : 3 * sin * cos + rest * (1 + 2 * cos.square());
  return norms.pow(n) * J / std::numbers::pi;
}

std::vector<Case> cases(const Tensor& x, const Tensor& y) {
  const Tensor lengthscale = at::tensor({0.7, 1.0, 1.5}, at::kDouble), one = unit_lengthscale();
  std::vector<Case> list;
  for (int64_t order : {0, 1, 2})
    list.push_back({"arc-cosine " + std::to_string(order), [order](int64_t M,
                                                                   uint64_t seed) { return RandomFeatures::arc_cosine(order, 3, M, seed); },
                                                                       arc_cosine(x, y, order)});
  list.push_back({"rbf", [=](int64_t M, uint64_t seed) { return RandomFeatures::fourier(lengthscale, 3, M, {}, seed); },
                  rbf_kernel(lengthscale)->gram(x, y)});
  list.push_back({"laplace", [=](int64_t M, uint64_t seed) { return RandomFeatures::fourier(one, 3, M, 0.5, seed); }, laplace_kernel()->gram(x, y)});
  list.push_back({"matern", [=](int64_t M, uint64_t seed) { return RandomFeatures::fourier(lengthscale, 3, M, 1.5, seed); },
                  matern_kernel(1.5, lengthscale)->gram(x, y)});
  for (const auto& [name, phi] : {std::pair{"relu", relu()}, {"erf", erf_activation()}, {"gelu", gelu()}})
    list.push_back({name, [phi](int64_t M, uint64_t seed) { return RandomFeatures::gaussian(phi, 3, M, 1.3, 0.4, seed); },
                    network_kernel(parse_network(std::string("dense:w=1.3,b=0.4 ") + name + " dense"), Limit::nngp)->gram(x, y)});
  return list;
}

TEST(RandomFeaturesOf, KernelsAgreeWithinTheirStandardErrors) {
  at::manual_seed(1);
  const Tensor x = at::randn({5, 3}, at::kDouble), y = at::randn({4, 3}, at::kDouble);
  for (const Case& c : cases(x, y)) {
    const auto [gram, error] = c.make(20000, 1).gram(x, y);
    EXPECT_LE(((gram - c.exact).abs() / error).max().item<double>(), 4.0) << c.name;
    EXPECT_LE((error / c.exact.abs().max()).max().item<double>(), 0.05) << c.name;
    const RandomFeatures features = c.make(50, 1);
    EXPECT_LE(testing::relative_difference(at::matmul(features(x), features(y).t()), features.gram(x, y).gram), 1e-14) << c.name;
    EXPECT_EQ(features(x).size(1), features.features());
    testing::expect_positive_semi_definite(features.gram(x).gram);
  }
}

TEST(RandomFeaturesOf, ErrorBarsAreTheSpreadOfRepetitions) {
  at::manual_seed(2);
  const Tensor x = at::randn({3, 3}, at::kDouble), y = at::randn({2, 3}, at::kDouble);
  for (const Case& c : cases(x, y)) {
    Tensors grams, errors;
    for (uint64_t seed = 0; seed < 400; ++seed) {
      const auto [gram, error] = c.make(100, seed).gram(x, y);
      grams.push_back(gram);
      errors.push_back(error.square());
    }
    const Tensor spread = at::stack(grams).std(0), stated = at::stack(errors).mean(0).sqrt();
    EXPECT_LE((spread / stated - 1).abs().max().item<double>(), 0.15) << c.name;
  }
}

TEST(RandomFeaturesOf, WrongSizesAreRefused) {
  const RandomFeatures features = RandomFeatures::arc_cosine(1, 3, 10);
  EXPECT_REFUSED(InvalidInput, "made for 3 numbers", features(at::randn({2, 4}, at::kDouble)));
  EXPECT_REFUSED(InvalidInput, "only 0, 1 and 2", RandomFeatures::arc_cosine(3, 3, 10));
  EXPECT_REFUSED(InvalidInput, "no error bar", RandomFeatures::arc_cosine(1, 3, 1));
  EXPECT_REFUSED(InvalidInput, "nu is 0.7", RandomFeatures::fourier(unit_lengthscale(), 3, 10, 0.7));
  EXPECT_REFUSED(InvalidInput, "lengthscale", RandomFeatures::fourier(at::full({2}, 1.0, at::kDouble), 3, 10));
}

}  // namespace
}  // namespace pathkernel
