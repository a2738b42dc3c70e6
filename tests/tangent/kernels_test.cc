// Invariant 7 for the plain loops: each agrees with its twin made of ATen operations.

#include <ATen/ops/cat.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/max_pool2d_with_indices.h>
#include <ATen/ops/rand.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>
#include <pathkernel/tangent/kernels/kink.h>
#include <pathkernel/tangent/kernels/max_pool.h>
#include <pathkernel/tangent/kernels/convolution.h>
#include <pathkernel/tangent/kernels/rank_one.h>

namespace pathkernel {
namespace {

void expect_close(const Tensor& a, const Tensor& b, double tolerance) {
  ASSERT_EQ(a.sizes(), b.sizes());
  EXPECT_LE((a - b).abs().max().item<double>(), tolerance * std::max(1.0, b.abs().max().item<double>()));
}

double precision(at::ScalarType dtype) { return dtype == at::kDouble ? 1e-14 : 1e-5; }

class Kernels : public ::testing::TestWithParam<at::ScalarType> {
 protected:
  void SetUp() override { at::manual_seed(1); }
  at::TensorOptions options() const { return at::TensorOptions().dtype(GetParam()); }
};

TEST_P(Kernels, KinksWithEndsOnOneSideAndAcross) {
  Tensor x0 = at::randn({3, 1000}, options()), x1 = x0 + at::randn({3, 1000}, options()) * 0.5;
  x0.select(0, 0).narrow(0, 0, 10).zero_();
  x1.select(0, 0).narrow(0, 5, 10).zero_();
  const Tensor v = at::randn_like(x0);
  for (const auto& [above, below] : {std::pair(1.0, 0.0), std::pair(1.0, 0.1), std::pair(1.0, -1.0)}) {
    expect_close(kinked_product(v, x0, x1, above, below), kinked_product_by_operations(v, x0, x1, above, below), precision(GetParam()));
    expect_close(kinked_product(v, x0, x0, above, below), kinked_product_by_operations(v, x0, x0, above, below), precision(GetParam()));
  }
}

TEST_P(Kernels, WinnersThatAgreeAndThatChange) {
  const Tensor x0 = at::randn({4, 3, 36}, options()), x1 = x0 + at::randn({4, 3, 36}, options());
  const Tensor p0 = x0.view({4, 3, 6, 6}), p1 = x1.view({4, 3, 6, 6});
  const auto pool = [](const Tensor& x) { return std::get<1>(at::max_pool2d_with_indices(x, {2, 2}, {2, 2})).flatten(2); };
  const Tensor i = pool(p0), j = pool(p1), v = at::randn({4, 3, 9}, options());
  EXPECT_FALSE(at::equal(i, j));
  const Tensor got = give_to_winners(x0, x1, i, j, v);
  expect_close(got, give_to_winners_by_operations(x0, x1, i, j, v), precision(GetParam()));
  // exactly complete: ⟨given, Δx⟩ = ⟨v, Δmax⟩
  const Tensor change = x1.gather(2, j) - x0.gather(2, i);
  EXPECT_NEAR((got * (x1 - x0)).sum().item<double>(), (v * change).sum().item<double>(), 1e2 * precision(GetParam()));
}

TEST_P(Kernels, SumsOfProducts) {
  for (const auto& [m, K, R] : {std::tuple(2, 3, 5), std::tuple(3, 16, 256), std::tuple(2, 1000, 300)}) {
    const Tensor a = at::randn({m, K, R}, options()), b = at::randn({K, R}, options());
    expect_close(sum_of_products(a, b), (a * b.unsqueeze(0)).sum(1), precision(GetParam()));
  }
  const Tensor a = at::rand({1, 4096, 300}, options()), b = at::rand({4096, 300}, options());
  const Tensor exact = (a.to(at::kDouble) * b.to(at::kDouble).unsqueeze(0)).sum(1), error = (sum_of_products(a, b).to(at::kDouble) - exact) / exact;
  EXPECT_LT(error.square().mean().sqrt().item<double>(), GetParam() == at::kFloat ? 4e-7 : 1e-15);  // one after the other: 9e-7 and 2e-15
}

TEST_P(Kernels, ConvolutionWeights) {
  const std::vector<ConvolutionShape> shapes = {{{5, 5}, {1, 1}, {2, 2}, {1, 1}, 1}, {{3, 2}, {1, 1}, {0, 1}, {2, 3}, 2}, {{3, 2}, {2, 1}, {0, 1}, {1, 1}, 1}, {{3, 3}, {1, 2}, {1, 1}, {2, 1}, 2}, {{1, 1}, {1, 1}, {0, 0}, {1, 1}, 4}};
  for (const ConvolutionShape& s : shapes) {
    const Tensor a = at::randn({7, 4, 9, 10}, options());
    const auto size = [&](int64_t in, int k) { return (in + 2 * s.padding[k] - s.dilation[k] * (s.kernel[k] - 1) - 1) / s.stride[k] + 1; };
    const Tensor v = at::randn({7, 8, size(9, 0), size(10, 1)}, options());
    expect_close(convolution_weight_gradients(v, a, s), convolution_weight_gradients_by_operations(v, a, s), precision(GetParam()));
  }
}

TEST_P(Kernels, MaxPoolIsATensToTheBit) {
  Tensor x = at::randint(-3, 4, {3, 2, 21, 19}, options());  // many equals: the first wins
  x[0][0][4][4] = std::nan("");
  for (const auto& [kernel, stride] : {std::pair<std::vector<int64_t>, std::vector<int64_t>>({2, 2}, {2, 2}), {{3, 2}, {1, 2}}}) {
    const auto [values, indices] = max_pool(x, kernel, stride);
    const auto [reference, places] = at::max_pool2d_with_indices(x, kernel, stride);
    EXPECT_TRUE(at::equal(indices, places));
    EXPECT_TRUE(at::equal(values.nan_to_num(99), reference.nan_to_num(99)));
  }
  EXPECT_FALSE(max_pool_fits(x, {1, 1}, {1, 1}, false));
  EXPECT_FALSE(max_pool_fits(x.transpose(2, 3), {0, 0}, {1, 1}, false));
}

TEST_P(Kernels, RankOneAndDecayPasses) {
  const Tensor left = at::randn({5, 7}, options()), right = at::randn({5, 45}, options());
  const Tensor diagonal = at::rand({315}, options()), u = at::randn({315}, options()), v = at::randn({315}, options());
  const Tensor g = (left.unsqueeze(2) * right.unsqueeze(1)).view({5, 315});
  for (const Tensor& d : {Tensor(), diagonal}) {
    const Tensor scaled = d.defined() ? g * d : g;
    Tensor dense = at::randn({5, 315}, options());
    const Tensor expected = dense * 0.9 - scaled * 0.3;
    const Tensor dots = add_rank_one(dense, 0.9, left, right, -0.3, d, u);
    expect_close(dense, expected, precision(GetParam()));
    expect_close(dots, expected.matmul(u), 10 * precision(GetParam()));

    Tensor p = at::randn({5, 315}, options()), q = at::randn({5, 315}, options());
    const Tensor factor = d.defined() ? d : at::zeros({315}, options()) + 0.7;
    const Tensor p1 = p * 0.9 - factor * (g + q), sums = q.matmul(v), q1 = q * 0.99 + g * -0.01 + p1 * 0.2;
    const Tensor got = add_rank_one_with_decay(p, q, left, right, {0.9, 0.7, d, 0.99, -0.01, 0.2, v});
    expect_close(p, p1, precision(GetParam()));
    expect_close(q, q1, precision(GetParam()));
    expect_close(got, sums, 10 * precision(GetParam()));
  }
}

INSTANTIATE_TEST_SUITE_P(Precisions, Kernels, ::testing::Values(at::kFloat, at::kDouble), [](const auto& info) { return info.param == at::kFloat ? "Float" : "Double"; });

}  // namespace
}  // namespace pathkernel
