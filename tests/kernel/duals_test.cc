// Theory 6's table of dual activations: its numbers, the definition by quadrature, and exactness at u = v.

#include "comparisons.h"

#include <pathkernel/core/error.h>
#include <pathkernel/kernel/duals/dual.h>

#include <ATen/ops/arange.h>
#include <ATen/ops/diag_embed.h>
#include <ATen/ops/exp.h>
#include <ATen/ops/linalg_eigh.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/rand.h>
#include <ATen/ops/relu.h>
#include <scratch.h>

#include <algorithm>
#include <cmath>
#include <numbers>

namespace pathkernel {
namespace {

using std::numbers::pi;
using testing::number;

struct Row {
  DualPtr phi;
  double F, F_dot;  ///< at (a, b, c) = (.7, 1.9, −.8)
};

const std::vector<Row> table = {
    {relu(), 0.029810153298, 0.127992339400},          {absolute_value(), 0.919240613194, -0.488030642398},
        {leaky_relu(0.1), -0.055853775828, 0.203673794914},
    {erf_activation(), -0.312505618912, 0.425359477472}, {sine(), -0.242037115730, 0.364493543983},
                  {cosine(), 0.364493543983, -0.242037115730},
    {exponential(), 1.648721270700, 1.648721270700},   {gaussian(), 0.482804549585, -0.090033482440},       {gelu(), -0.054163140663, 0.119649782209},
    {monomial(2), 2.61, -3.2},                         {monomial(3), -12.648, 23.49},                       {monomial(5), -766.2996, 2175.9225},
    {rectified_monomial(2), 0.016770346270, 0.119240613194}, {sign_activation(), -0.488030642398, 0.766400143877},
        {step_activation(), 0.127992339400, 0.191600035969},
};

TEST(Duals, GiveTheNumbersOfTheory) {
  for (const Row& row : table) {
    const Dual dual = row.phi->dual(number(0.7), number(1.9), number(-0.8), true);
    const double scale = std::max(1.0, std::abs(row.F));
    EXPECT_NEAR(dual.F.item<double>(), row.F, 1e-12 * scale) << row.phi->specification();
    EXPECT_NEAR(dual.F_dot.item<double>(), row.F_dot, 1e-12 * std::max(1.0, std::abs(row.F_dot))) << row.phi->specification();
    EXPECT_FALSE(row.phi->dual(number(0.7), number(1.9), number(-0.8), false).F_dot.defined());
  }
}

struct Nodes { Tensor x, w; };

/// Gauss–Legendre on [from, to] by Golub and Welsch: eigenvalues of the Jacobi matrix. Nothing shared with the library.
Nodes gauss_legendre(int64_t n, double from, double to) {
  const Tensor k = at::arange(1, n, at::kDouble), beta = k / (k * k * 4 - 1).sqrt();
  const auto [x, vectors] = at::linalg_eigh(at::diag_embed(beta, -1) + at::diag_embed(beta, 1));
  return {(x + 1) * ((to - from) / 2) + from, vectors.select(0, 0).square() * (to - from)};
}

/// E f(u)f(v) by polar coordinates, (u, v) = L r(cos t, sin t): kinks at zero lie on rays, where the angle is cut.
double by_definition(const std::function<Tensor(const Tensor&)>& f, double a, double b, double c) {
  const double l = std::sqrt(a), m = c / l, s = std::sqrt(b - m * m), ray = std::atan2(-m, s);
  std::vector<double> cuts = {0, 2 * pi};
  for (const double angle : {pi / 2, 3 * pi / 2, ray, ray + pi}) cuts.push_back(std::fmod(angle + 4 * pi, 2 * pi));
  std::sort(cuts.begin(), cuts.end());
  const Nodes radius = gauss_legendre(100, 0, 13);
  double sum = 0;
  for (size_t k = 0; k + 1 < cuts.size(); ++k) {
    if (cuts[k + 1] - cuts[k] < 1e-12) continue;
    const Nodes angle = gauss_legendre(60, cuts[k], cuts[k + 1]);
    const Tensor u = angle.x.cos().unsqueeze(1) * radius.x * l, v = (angle.x.cos() * m + angle.x.sin() * s).unsqueeze(1) * radius.x;
    const Tensor weight = angle.w.unsqueeze(1) * (radius.w * radius.x * (radius.x.square() * -0.5).exp()) / (2 * pi);
    sum += (weight * f(u) * f(v)).sum().item<double>();
  }
  return sum;
}

/// φ̇ by central differences of the sixth order, away from kinks.
Tensor slope(const DualActivation& phi, const Tensor& x) {
  const double h = 1e-2;
  const auto d = [&](double k) { return phi.apply(x + k * h) - phi.apply(x - k * h); };
  return (d(1) * 45 - d(2) * 9 + d(3)) / (60 * h);
}

const std::vector<std::array<double, 3>> places = {{1, 1, 0.3}, {0.7, 1.9, -0.8}, {2.1, 0.4, 0.85}, {1.2, 1.3, 0}};

TEST(Duals, AreTheExpectationsTheyStandFor) {
  const std::vector<DualPtr> smooth = {erf_activation(), erf_activation(0.5, 0.4, 0.5), gelu(), sine(1.2, 0.7, 0.4), cosine(0.9, 1.3, -0.2),
                                       exponential(0.8, 0.5),
                                       gaussian(1.1, -0.7), hermite({0.3, 1, -0.5, 0.2}), polynomial({0.5, -1, 0, 0.3}), tanh_activation(),
                                           sigmoid_activation(), silu(), softplus()};
  for (const auto& [a, b, c] : places) {
    for (const DualPtr& phi : smooth) {
      const Dual dual = phi->dual(number(a), number(b), number(c), true);
      const double F = by_definition([&](const Tensor& x) { return phi->apply(x); }, a, b, c);
      EXPECT_NEAR(dual.F.item<double>(), F, 1e-12 * std::max(1.0, std::abs(F))) << phi->specification() << " at " << a << " " << b << " " << c;
      const double F_dot = by_definition([&](const Tensor& x) { return slope(*phi, x); }, a, b, c);
      EXPECT_NEAR(dual.F_dot.item<double>(), F_dot, 1e-9 * std::max(1.0, std::abs(F_dot))) << phi->specification() << " at " << a << " " << b << "" << c;
    }
    for (const DualPtr& phi : {relu(), leaky_relu(0.1), absolute_value(), ab_relu(-0.3, 1.7), sign_activation(), step_activation(),
                               rectified_monomial(2)}) {
      const double F = by_definition([&](const Tensor& x) { return phi->apply(x); }, a, b, c);
      EXPECT_NEAR(phi->dual(number(a), number(b), number(c), false).F.item<double>(), F,
                  1e-12) << phi->specification() << " at " << a << " " << b << " " << c;
    }
    const double F_dot = by_definition([](const Tensor& x) { return (x > 0).to(at::kDouble) * 2.0 - 0.3; }, a, b, c);
    EXPECT_NEAR(ab_relu(-0.3, 1.7)->dual(number(a), number(b), number(c), true).F_dot.item<double>(), F_dot, 1e-12);
  }
}

TEST(Duals, AreExactWhereBothArgumentsAreTheSame) {
  for (const auto dtype : {at::kDouble, at::kFloat}) {
    const Tensor a = (at::rand({1000}, at::kDouble) * 5).to(dtype);
    const Dual r = relu()->dual(a, a, a, true);
    EXPECT_TRUE(r.F.equal(a * 0.5)) << "relu is exact to the last bit";
    EXPECT_TRUE(r.F_dot.equal(at::ones_like(a) * 0.5));
    EXPECT_TRUE(absolute_value()->dual(a, a, a, true).F.equal(a));
    EXPECT_TRUE(sign_activation()->dual(a, a, a, false).F.equal(at::ones_like(a)));
    EXPECT_TRUE(rectified_monomial(2)->dual(a, a, a, false).F.equal((a * a + a * a * 2) * 0.5));
    const double eps = dtype == at::kDouble ? 1e-15 : 1e-6;
    EXPECT_LE(testing::largest_difference(sine()->dual(a, a, a, false).F, (1 - at::exp(a * -2)) / 2), eps);
    EXPECT_LE(testing::largest_difference(gaussian()->dual(a, a, a, false).F, (a * 2 + 1).rsqrt()), eps);
  }
}

TEST(Duals, KeepTheirDigitsForTinyVariances) {
  const double tiny = 1e-9;  // sin x ≈ x: F = c, and not the difference of two numbers close to one
  EXPECT_NEAR(sine()->dual(number(tiny), number(2 * tiny), number(0.3 * tiny), false).F.item<double>() / (0.3 * tiny), 1, 1e-8);
  EXPECT_NEAR(erf_activation()->dual(number(tiny), number(tiny), number(tiny), false).F.item<double>() / (4 / pi * tiny), 1, 1e-8);
}

TEST(Duals, QuadratureKnowsWhatItCannotDo) {
  const auto kinked = [](const Tensor& x) { return at::relu(x); };
  const auto kinked_slope = [](const Tensor& x) { return (x > 0).to(x.scalar_type()); };
  EXPECT_REFUSED(InvalidInput, "allow more terms", by_quadrature("kinked", kinked, kinked_slope)->dual(number(1), number(1), number(0.3), false));
  const DualPtr rough = by_quadrature("kinked", kinked, kinked_slope, {.tolerance = 0.1, .terms = 256});
  const Dual dual = rough->dual(number(1), number(2), number(0.9), true), exact = relu()->dual(number(1), number(2), number(0.9), true);
  EXPECT_NEAR(dual.F.item<double>(), exact.F.item<double>(), 1e-12) << "far inside of its bound: the rest comes with a high power of ρ";
  EXPECT_NEAR(dual.F_dot.item<double>(), exact.F_dot.item<double>(), 1e-12);
  const Dual same = rough->dual(number(2), number(2), number(2), true);
  EXPECT_NEAR(same.F.item<double>(), 1, 1e-13) << "Parseval's rest makes u = v exact";
  EXPECT_NEAR(same.F_dot.item<double>(), 0.5, 1e-13);
  EXPECT_REFUSED(InvalidInput, "terms is 0", by_quadrature("f", kinked, kinked_slope, {.tolerance = 1, .terms = 0}));
}

TEST(Duals, QuadratureAgreesWithClosedForms) {
  const Tensor a = at::rand({20, 1}, at::kDouble) * 2 + 0.1, b = at::rand({1, 30}, at::kDouble) * 2 + 0.1,
      c = (at::rand({20, 30}, at::kDouble) * 1.98 - 0.99) * (a * b).sqrt();
  const DualPtr erf = erf_activation();
  const DualPtr other = by_quadrature("erf", [&](const Tensor& x) { return erf->apply(x); },
                                      [](const Tensor& x) { return (x.square() * -1).exp() * (2 / std::sqrt(pi)); });
  const Dual found = other->dual(a, b, c, true), expected = erf->dual(a, b, c, true);
  EXPECT_LE(testing::largest_difference(found.F, expected.F), 1e-13);
  EXPECT_LE(testing::largest_difference(found.F_dot, expected.F_dot), 1e-12);
}

TEST(Duals, GradientsAreThoseOfTheFormulas) {
  // Price's theorem: ∂F/∂c = Ḟ, for every activation whose Ḟ is finite.
  for (const DualPtr& phi : {relu(), leaky_relu(0.2), erf_activation(), gelu(), sine(), cosine(1, 1, 0.3), exponential(), gaussian(), monomial(3),
                             tanh_activation()}) {
    const Tensor a = number(1.1), b = number(0.8), c = number(0.4).requires_grad_(true);
    const Dual dual = phi->dual(a, b, c, true);
    dual.F.sum().backward();
    EXPECT_NEAR(c.grad().item<double>(), dual.F_dot.item<double>(), 1e-12) << phi->specification();
  }
}

TEST(Duals, GradientsAreFiniteWhereTheAngleIsZero) {
  for (const double value : {1.3, 0.0}) {
    const Tensor a = number(value).requires_grad_(true);
    const Dual dual = relu()->dual(a, a, a, true);
    (dual.F + dual.F_dot).sum().backward();
    EXPECT_EQ(a.grad().item<double>(), 0.5) << "F = a/2 and Ḟ = 1/2, at a = " << value;
  }
}

}  // namespace
}  // namespace pathkernel
