#include <pathkernel/core/random.h>
#include <pathkernel/spectrum/hermite.h>
#include <pathkernel/spectrum/learning_curve.h>
#include <pathkernel/spectrum/rkhs.h>
#include <spectrum/digits.h>

#include <ATen/ops/linalg_solve.h>
#include <ATen/ops/zeros.h>

namespace pathkernel {
namespace {

using testing::at;
using testing::expect_digits;

/// Uniform points of the sphere.
class Sphere {
 public:
  Sphere(int64_t dim, uint64_t seed) : dim_(dim), random_(seed) {}
  double normal() {
    const double a = (static_cast<double>(random_.next() >> 11) + 0.5) * 0x1p-53, b = static_cast<double>(random_.next() >> 11) * 0x1p-53;
    return std::sqrt(-2 * std::log(a)) * std::cos(2 * M_PI * b);
  }
  std::vector<double> point() {
    std::vector<double> x(static_cast<size_t>(dim_));
    double square = 0;
    for (double& v : x) v = normal(), square += v * v;
    for (double& v : x) v /= std::sqrt(square);
    return x;
  }

 private:
  int64_t dim_;
  RandomStream random_;
};

double inner(const std::vector<double>& x, const std::vector<double>& y) {
  double sum = 0;
  for (size_t i = 0; i < x.size(); ++i) sum += x[i] * y[i];
  return std::clamp(sum, -1.0, 1.0);
}

TEST(RkhsNorm, OfAKernelExpansionIsItsQuadraticForm) {  // Mercer: Σ_ij α_i α_j κ(u_ij) = ‖Σ_i α_i k(·, x_i)‖²
  const int64_t dim = 5;
  const Spectrum s = eigenvalues(ZonalKernel::gaussian("1.2"), dim, 60);
  Sphere sphere(dim, 3);
  const std::vector<std::vector<double>> x{sphere.point(), sphere.point(), sphere.point()};
  const std::vector<double> alpha{0.7, -1.3, 0.4};
  std::vector<double> powers(61, 0);  // ‖f_k‖² = μ_k² N Σ_ij α_i α_j P_k(u_ij)
  double form = 0;
  for (size_t i = 0; i < 3; ++i)
    for (size_t j = 0; j < 3; ++j) {
      const double u = i == j ? 1 : inner(x[i], x[j]);
      form += alpha[i] * alpha[j] * s.kernel(u);
      double before = 0, p = 1;
      for (int64_t k = 0; k <= 60; ++k) {
        powers[static_cast<size_t>(k)] += alpha[i] * alpha[j] * p * at(s, k).value * at(s, k).value * std::pow(10.0, at(s, k).log10_multiplicity);
        const auto n = static_cast<double>(k);
        const double next = k == 0 ? u : ((2 * n + dim - 2) * u * p - n * before) / (n + dim - 2);
        before = p, p = next;
      }
    }
  const RkhsNorm norm = rkhs_norm(s, powers);
  EXPECT_NEAR(norm.squared / form, 1, 1e-12);
  EXPECT_NEAR(norm.log10_squared, std::log10(form), 1e-12);
}

TEST(RkhsNorm, OfPolynomials) {
  const int64_t d = 7;
  const Spectrum s = eigenvalues(ZonalKernel::ntk(3), d, 6);
  // u = Y_1 with power 1/d; u² = 1/d + (1 − 1/d) P_2.
  EXPECT_NEAR(rkhs_norm(s, powers_of_polynomial(d, {0, 1})).squared, 1 / (d * at(s, 1).value), 1e-12);
  const RkhsNorm square = rkhs_norm(s, powers_of_polynomial(d, {0, 0, 1}));
  const double mean = 1.0 / d, rest = (1 - mean) * (1 - mean) / std::stod(at(s, 2).multiplicity);
  EXPECT_NEAR(square.squared, mean * mean / at(s, 0).value + rest / at(s, 2).value, 1e-12);
  EXPECT_NEAR(square.shares[0], mean * mean / at(s, 0).value / square.squared, 1e-12);
  EXPECT_EQ(square.shares[1], 0);
  // The power is the mean square: E u⁶ = 15/(d(d+2)(d+4)) for u³.
  double total = 0;
  for (const double p : powers_of_polynomial(d, {0, 0, 0, 1})) total += p;
  EXPECT_NEAR(total, 15.0 / (d * (d + 2) * (d + 4)), 1e-15);
}

TEST(RkhsNorm, OfASectionIsTheKernelItself) {
  const Spectrum s = eigenvalues(ZonalKernel::laplace(), 9, 80);
  std::vector<double> mu;
  for (const Eigenvalue& e : s.eigenvalues) mu.push_back(e.value);
  EXPECT_NEAR(rkhs_norm(s, powers_of_zonal(9, mu)).squared, s.trace.partial, 1e-12);
}

TEST(RkhsNorm, IsInfiniteOutsideTheSpace) {
  const Spectrum s = eigenvalues(ZonalKernel::ntk(2), 4, 5);  // without biases: no odd degrees above 1
  const RkhsNorm outside = rkhs_norm(s, powers_of_polynomial(4, {0, 0, 0, 1}));
  EXPECT_TRUE(std::isinf(outside.squared));
  EXPECT_EQ(outside.missing_degree, 3);
  EXPECT_EQ(rkhs_norm(s, powers_of_polynomial(4, {0, 1, 1, 0, 2})).missing_degree, -1);
  EXPECT_EQ(rkhs_norm(s, {0, 0}).squared, 0);
}

TEST(Hermite, ClosedFormsAreTheory) {  // theory 7; a_0 … a_6 of verify/logs/v07_spectra.log
  const std::vector<std::pair<std::string, std::vector<std::string>>> oracles{
      {"relu", {"0.39894228", "0.5", "0.282094792", "0", "-0.081433752", "0", "0.0446031029"}},
      {"abs", {"0.797884561", "0", "0.564189584", "0", "-0.162867504", "0", "0.0892062058"}},
      {"step", {"0.5", "0.39894228", "0", "-0.162867504", "0", "0.109254843", "0"}},
      {"erf", {"0", "0.651470016", "0", "-0.17730768", "0", "0.0792944052", "0"}},
      {"sin", {"0", "0.60653066", "0", "-0.247615105", "0", "0.0553684207", "0"}},
      {"cos", {"0.60653066", "0", "-0.428881942", "0", "0.123807552", "0", "-0.0226040631"}},
      {"exp", {"1.64872127", "1.64872127", "1.16582199", "0.67308764", "0.33654382", "0.150506972", "0.061444214"}},
      {"gelu", {"0.282094792", "0.5", "0.29920671", "0", "-0.0719779478", "0", "0.027596762"}}};
  for (const auto& [name, values] : oracles) {
    SCOPED_TRACE(name);
    const std::vector<double> a = hermite_coefficients(hermite_activation(name), 6);
    for (size_t n = 0; n < 7; ++n)
      if (values[n] == "0") EXPECT_EQ(a[n], 0) << n;
      else expect_digits(a[n], values[n]);
  }
}

TEST(Hermite, QuadratureAgrees) {
  for (const char* name : {"relu", "abs", "step", "erf", "sin", "cos", "exp", "gelu"}) {
    const HermiteActivation activation = hermite_activation(name);
    const std::vector<double> exact = hermite_coefficients(activation, 60), summed = hermite_coefficients([activation](double x) { return evaluate(activation, x); }, 60);
    for (size_t n = 0; n <= 60; ++n) EXPECT_NEAR(summed[n], exact[n], 2e-14) << name << " n = " << n;
  }
  // A kink elsewhere: (x − 1)₊ has a_0 = φ(1) − (1 − Φ(1)), and a_n = h_{n−2}(1) φ(1)/√(n(n−1)) for n ≥ 2.
  const std::vector<double> a = hermite_coefficients([](double x) { return std::max(0.0, x - 1); }, 4, {1});
  const double density = std::exp(-0.5) / std::sqrt(2 * M_PI);
  EXPECT_NEAR(a[0], density - 0.5 * std::erfc(1 / std::sqrt(2.0)), 1e-15);
  EXPECT_NEAR(a[2], density / std::sqrt(2), 1e-15);
  EXPECT_NEAR(a[4], 0, 1e-15);
  EXPECT_NEAR(a[3], density / std::sqrt(6), 1e-15);
}

TEST(Hermite, DualIsTheArcCosineKernel) {  // E φ(x)φ(y) at correlation ρ: κ₁/2 for relu, κ₀/2 for the step
  for (const double rho : {-0.7, 0.0, 0.3, 0.8}) {
    EXPECT_NEAR(hermite_dual(hermite_coefficients(HermiteActivation::relu, 400), rho), ZonalKernel::arc_cosine(1)(rho) / 2, 1e-14);
    EXPECT_NEAR(hermite_dual(hermite_coefficients(HermiteActivation::step, 400), rho), ZonalKernel::arc_cosine(0)(rho) / 2, 1e-14);
  }
}

TEST(LearningCurve, OfALinearKernelIsThatOfLeastSquares) {
  // d equal eigenvalues, no ridge: error 1 − n/d below d examples; above it σ² d/(n − d) of noise (Canatar et al. 2021).
  const int64_t d = 40;
  const auto linear = ZonalKernel::user({"u", [](double u) { return u; }, {}, 1, {}, {}});
  const auto points = learning_curve(eigenvalues(linear, d, 3), {0, 1}, {0, 10, 30, 50, 100}, {0, 0.3});
  EXPECT_NEAR(points[0].error, 1, 1e-9);
  EXPECT_NEAR(points[1].from_target, 0.75, 1e-6);
  EXPECT_NEAR(points[2].from_target, 0.25, 1e-6);
  EXPECT_NEAR(points[2].from_noise, 0.3 * 0.75 / 0.25, 1e-5);
  EXPECT_NEAR(points[2].learned[1], 0.75, 1e-6);
  EXPECT_NEAR(points[3].from_noise, 0.3 * 40 / 10, 1e-5);
  EXPECT_NEAR(points[4].from_noise, 0.3 * 40 / 60, 1e-6);
  EXPECT_LT(points[4].from_target, 1e-9);
}

TEST(LearningCurve, DegreesBeyondTheSpectrumActAsARidge) {
  const auto error = [](int64_t k_max) { return learning_curve(eigenvalues(ZonalKernel::laplace(), 12, k_max), {0, 1, 1}, {30}).front().error; };
  EXPECT_NEAR(error(6) / error(60), 1, 2e-3);
}

/// Mean squared error of kernel ridge regression on f(x) = √(d) ⟨x,v⟩ and a second degree, over random training sets.
struct Measured {
  double mean = 0, standard_error = 0;
};
Measured simulate(const ZonalKernel& kernel, int64_t dim, int64_t n, double ridge, double noise, int repeats) {
  Sphere sphere(dim, 11);
  const auto target = [dim](const std::vector<double>& x) {  // power 1 in degree 1; u² − 1/d has power (1−1/d)²/N(d,2)
    return std::sqrt(static_cast<double>(dim)) * x[0] + 4 * (x[1] * x[1] - 1.0 / static_cast<double>(dim));
  };
  std::vector<double> errors;
  for (int repeat = 0; repeat < repeats; ++repeat) {
    std::vector<std::vector<double>> train;
    at::Tensor K = at::zeros({n, n}, at::kDouble), y = at::zeros({n}, at::kDouble);
    double* entries = K.mutable_data_ptr<double>();
    for (int64_t i = 0; i < n; ++i) {
      train.push_back(sphere.point());
      y.mutable_data_ptr<double>()[i] = target(train.back()) + std::sqrt(noise) * sphere.normal();
      for (int64_t j = 0; j <= i; ++j) entries[i * n + j] = entries[j * n + i] = kernel(i == j ? 1 : inner(train[i], train[j])) + (i == j ? ridge : 0);
    }
    const at::Tensor alpha = at::linalg_solve(K, y);
    double sum = 0;
    const int tests = 200;
    for (int t = 0; t < tests; ++t) {
      const std::vector<double> x = sphere.point();
      double f = 0;
      for (int64_t i = 0; i < n; ++i) f += alpha.const_data_ptr<double>()[i] * kernel(inner(x, train[i]));
      sum += std::pow(f - target(x), 2);
    }
    errors.push_back(sum / tests);
  }
  Measured m;
  for (const double e : errors) m.mean += e / repeats;
  for (const double e : errors) m.standard_error += std::pow(e - m.mean, 2) / (repeats * (repeats - 1.0));
  m.standard_error = std::sqrt(m.standard_error);
  return m;
}

TEST(LearningCurve, PredictsKernelRidgeRegression) {
  const int64_t dim = 12;
  const double d = static_cast<double>(dim);
  const std::vector<double> powers{0, 1, 16 * (1 - 1 / d) * (1 - 1 / d) * 2 / ((d - 1) * (d + 2))};  // P_2 has mean square 1/N(d,2), N = (d−1)(d+2)/2
  for (const auto& [kernel, ridge, noise] : {std::tuple{ZonalKernel::ntk(3), 0.0, 0.0}, {ZonalKernel::laplace(), 0.2, 0.5}}) {
    const Spectrum s = eigenvalues(kernel, dim, 60);
    for (const int64_t n : {20, 100}) {
      const double predicted = learning_curve(s, powers, {n}, {ridge, noise}).front().error;
      const Measured m = simulate(kernel, dim, n, ridge, noise, 40);
      // The replica calculation is asymptotic; 4 % beside the statistical error of the simulation.
      EXPECT_NEAR(m.mean, predicted, 3 * m.standard_error + 0.04 * predicted) << kernel.name() << " n = " << n << " ± " << m.standard_error;
      EXPECT_LT(m.standard_error, 0.06 * m.mean);
    }
  }
}

}  // namespace
}  // namespace pathkernel
