// The ways to keep p (dense, pushes gathered and written out together, a window of pushes only) give the same products.

#include <ATen/ops/randn.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>
#include <pathkernel/sweep/memory_adjoint.h>

namespace pathkernel {
namespace {

const auto f64 = at::TensorOptions().dtype(at::kDouble);

Factor pushes(int64_t n, int64_t out, int64_t in, int64_t terms = 1) { return outer_factor(at::randn({n, out, terms}, f64), at::randn({n, in, terms}, f64)); }

double largest(const Tensor& t) { return t.abs().max().item<double>(); }

struct Shape { const char* name; int64_t out, in, n, B; double mu; };

class MemoryAdjoints : public ::testing::TestWithParam<Shape> {};

TEST_P(MemoryAdjoints, AgreeWithTheDenseRecursion) {
  const auto [name, out, in, n, B, mu] = GetParam();
  at::manual_seed(2);
  MemoryAdjoint p(n, out * in, f64);
  Tensor dense = at::zeros({n, out * in}, f64);
  for (int step = 0; step < 40; ++step) {
    // now and then a push that cannot stay factored, and one with a diagonal
    const Factor G = pushes(n, out, in, step == 17 ? 3 : 1);
    const Coefficient d = step == 23 ? Coefficient{0, at::rand({out * in}, f64)} : Coefficient{0.1 + 0.01 * step, {}};
    p.push({G}, d, B, mu);
    dense = dense - d.times(materialise({G}, n, out * in, f64));
    const FactorList rows = {pushes(B, out, in)};
    const Tensor expected = contract(rows, dense, B), v = at::randn({out * in}, f64);
    EXPECT_LE(largest(p.product(rows, B) - expected), 1e-12 * largest(expected)) << "step " << step;
    EXPECT_LE(largest(p.along(v) - dense.matmul(v)), 1e-12 * largest(dense.matmul(v)));
    p.carry(mu);
    dense = dense * mu;
  }
  const auto written = p.written();
  EXPECT_LE(largest(written.numbers * written.carried - dense), 1e-12 * largest(dense));
}

INSTANTIATE_TEST_SUITE_P(Shapes, MemoryAdjoints,
                         ::testing::Values(Shape{"small", 3, 4, 5, 6, 0.9}, Shape{"gathered", 30, 40, 8, 2, 0.9}, Shape{"wide", 300, 300, 4, 2, 0.3}),
                         [](const auto& info) { return info.param.name; });

TEST(MemoryAdjoint, ChoosesTheWayByItsCost) {
  using Plan = MemoryAdjoint::Plan;
  const Plan lenet = MemoryAdjoint::plan(120, 400, 64, 64, 0.9, at::kFloat);
  EXPECT_FALSE(lenet.dense_never);
  EXPECT_GT(lenet.lags, 1);
  const Plan wide = MemoryAdjoint::plan(2500, 3000, 64, 64, 0.9, at::kFloat);
  EXPECT_TRUE(wide.dense_never) << "a layer of millions is cheaper by its pushes";
  EXPECT_LE(std::pow(0.9, double(wide.lags)), std::numeric_limits<float>::epsilon());
  EXPECT_GT(MemoryAdjoint::plan(2500, 3000, 64, 64, 0.9, at::kDouble).lags, wide.lags);
  EXPECT_FALSE(MemoryAdjoint::plan(2500, 3000, 64, 64, 1.0, at::kFloat).dense_never) << "a memory that never fades keeps all";
}

TEST(MemoryAdjoint, DropsOnlyWhatThePrecisionLoses) {
  at::manual_seed(3);
  const int64_t out = 300, in = 300, n = 4, B = 2;
  const double mu = 0.3;
  ASSERT_TRUE(MemoryAdjoint::plan(out, in, B, n, mu, at::kDouble).dense_never);
  MemoryAdjoint p(n, out * in, f64);
  Tensor dense = at::zeros({n, out * in}, f64);
  for (int step = 0; step < 100; ++step) {
    const Factor G = pushes(n, out, in);
    p.push({G}, {0.1, {}}, B, mu);
    dense = dense * mu - materialise({G}, n, out * in, f64) * 0.1;
    if (step + 1 < 100) p.carry(mu);
  }
  const FactorList rows = {pushes(B, out, in)};
  const Tensor expected = contract(rows, dense, B);
  EXPECT_LE(largest(p.product(rows, B) - expected), 1e-14 * largest(expected) * 10);
}

}  // namespace
}  // namespace pathkernel
