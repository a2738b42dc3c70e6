// The one-pass loop and ATen's operations give the same roundings.

#include <ATen/ops/randn.h>
#include <gtest/gtest.h>
#include <pathkernel/sweep/kernels/rounding.h>

namespace pathkernel {
namespace {

using Types = std::tuple<at::ScalarType, at::ScalarType>;
class Rounding : public ::testing::TestWithParam<Types> {};

double largest(const Tensor& t) { return t.abs().max().item<double>(); }

TEST_P(Rounding, IsTheSameInOnePass) {
  const auto [run, precision] = GetParam();
  at::manual_seed(6);
  const int64_t W = 3 * 512 + 77;
  const auto of = [&](at::ScalarType type) { return at::randn({W}, at::TensorOptions().dtype(type)); };
  for (const bool remembers : {false, true}) {
    for (const bool diagonal : {false, true}) {
      LinearForm form;
      form.mu = 0.9, form.omega_c = 0.1, form.eta_omega_d = 0.02;
      form.E = diagonal ? Coefficient{0, of(precision)} : Coefficient{0.3, {}};
      if (remembers) form.N = diagonal ? Coefficient{0, of(precision)} : Coefficient{0.1, {}}, form.D = diagonal ? Coefficient{0, of(precision)} : Coefficient{0.2, {}};
      StepNumbers x{of(run), of(run), {}, {}, of(precision)};
      if (remembers) x.m0 = of(run), x.m1 = of(run);
      Tensor memory = remembers ? of(at::kDouble) : Tensor(), other = remembers ? memory.clone() : Tensor(), rho = of(precision), expected = of(precision);
      const StepSizes got = step_rounding(form, x, memory, rho), wanted = step_rounding_by_operations(form, x, other, expected);
      const double epsilon = precision == at::kFloat ? 1e-6 : 1e-14;
      EXPECT_LE(largest(rho - expected), epsilon * largest(expected));
      if (remembers) {
        EXPECT_LE(largest(memory - other), 1e-14 * largest(other));
      }
      for (double StepSizes::*size : {&StepSizes::rounding, &StepSizes::weights, &StepSizes::expected, &StepSizes::memory_rounding, &StepSizes::memory})
        EXPECT_NEAR(got.*size, wanted.*size, 1e-13 * (1 + wanted.*size));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Types, Rounding, ::testing::Values(Types{at::kFloat, at::kFloat}, Types{at::kFloat, at::kDouble}, Types{at::kDouble, at::kDouble}));

TEST(Rounding, KeepsNaN) {
  const Tensor w = at::randn({600});
  Tensor bad = w.clone(), rho = w.clone(), none;
  bad[555] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_TRUE(std::isnan(step_rounding({}, {w, bad, {}, {}, w}, none, rho).rounding));
  EXPECT_TRUE(std::isnan(largest_difference(w, bad).off));
}

TEST(Rounding, SeesTheLargestDifference) {
  const Tensor a = at::randn({1300}), b = a.clone();
  b[1299].add_(4);
  const Difference d = largest_difference(a, b);
  EXPECT_NEAR(d.off, 4, 1e-6);
  EXPECT_EQ(d.of_a, largest(a));
}

}  // namespace
}  // namespace pathkernel
