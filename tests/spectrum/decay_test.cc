#include <pathkernel/spectrum/decay.h>
#include <pathkernel/spectrum/expansion.h>
#include <pathkernel/spectrum/spectrum_report.h>
#include <spectrum/digits.h>

namespace pathkernel {
namespace {

using testing::at;

double kappa0(double u) { return (M_PI - std::acos(u)) / M_PI; }
double kappa1(double u) { return (u * (M_PI - std::acos(u)) + std::sqrt(1 - u * u)) / M_PI; }

TEST(Decay, ConstantsOfTheReluTangentKernel) {
  // Theory 7: ν = ½, c₁ = −(√2/π) L(L−1)/2, c₋₁ = −(√2/π) Π_{l=3}^{L} κ₀(κ^{l−1}(−1)).
  double kappa = 0, product = 1;  // κ²(−1) = 0
  for (int64_t depth = 2; depth <= 30; ++depth) {
    if (depth > 2) {
      product *= kappa0(kappa);
      kappa = kappa1(kappa);
    }
    if (depth > 8 && depth < 30) continue;  // 30: more layers than the series has terms
    const PredictedDecay p = predicted_decay(ZonalKernel::ntk(depth), 4);
    EXPECT_EQ(p.nu, 0.5);
    EXPECT_NEAR(p.c_plus / (-std::sqrt(2) / M_PI * static_cast<double>(depth * (depth - 1)) / 2), 1, 1e-13);
    EXPECT_NEAR(p.c_minus, -std::sqrt(2) / M_PI * product, 1e-13);
  }
}

TEST(Decay, ConstantsOfTheOthers) {
  const Expansion laplace = expansion(ZonalKernel::laplace("1.5"));
  EXPECT_EQ(laplace.at_plus_one.front().nu, 0.5);
  EXPECT_NEAR(laplace.at_plus_one.front().c, -1.5 * std::sqrt(2), 1e-14);
  EXPECT_EQ(laplace.at_plus_one[1].nu, 1.5);
  EXPECT_NEAR(laplace.at_plus_one[1].c, -std::pow(1.5 * std::sqrt(2), 3) / 6, 1e-14);
  EXPECT_TRUE(laplace.at_minus_one.empty());
  // κ₀(1−t) = 1 − acos(1−t)/π, acos(1−t) = √(2t)(1 + t/12 + 3t²/160 + …)
  const Expansion step = expansion(ZonalKernel::arc_cosine(0));
  for (const auto& [terms, sign] : {std::pair{step.at_plus_one, -1.0}, {step.at_minus_one, 1.0}}) {
    EXPECT_NEAR(terms[0].c, sign * std::sqrt(2) / M_PI, 1e-15);
    EXPECT_NEAR(terms[1].c, sign * std::sqrt(2) / M_PI / 12, 1e-15);
    EXPECT_NEAR(terms[2].c, sign * std::sqrt(2) / M_PI * 3 / 160, 1e-15);
  }
  // κ = 1 − (2/π) asin √(θ/2π): ν = ¼ at 1, ½ at −1.
  const Expansion deep = expansion(ZonalKernel::step(3));
  EXPECT_EQ(deep.at_plus_one.front().nu, 0.25);
  EXPECT_NEAR(deep.at_plus_one.front().c, -2 / M_PI * std::pow(2.0, 0.25) / std::sqrt(2 * M_PI), 1e-14);
  EXPECT_EQ(deep.at_minus_one.front().nu, 0.5);
  EXPECT_FALSE(expansion(ZonalKernel::gaussian()).known);
}

TEST(Decay, SeriesSumToTheKernel) {
  // The terms of whole ν are left out: what is left must be a polynomial, so its sixth differences vanish.
  for (const ZonalKernel& kernel : {ZonalKernel::ntk(4), ZonalKernel::nngp(5), ZonalKernel::step(4), ZonalKernel::arc_cosine(2), ZonalKernel::laplace("0.8")}) {
    const Expansion e = expansion(kernel);
    for (const double end : {1.0, -1.0}) {
      double difference = 0;
      for (int i = 0; i <= 6; ++i) {
        const double t = 0.002 + 0.002 * i;
        double rest = kernel(end * (1 - t));
        for (const ExpansionTerm& term : end > 0 ? e.at_plus_one : e.at_minus_one) rest -= term.c * std::pow(t, term.nu);
        const double binomial = std::vector<double>{1, -6, 15, -20, 15, -6, 1}[static_cast<size_t>(i)];
        difference += binomial * rest;
      }
      EXPECT_LT(std::abs(difference), 2e-13 * kernel(1)) << kernel.name() << " at " << end;
    }
  }
}

TEST(Decay, LocalExponentsAsTheoryMeasured) {  // verify/logs/v07_spectra.log: d = 4, k = 117 → 119 and 118 → 120
  const auto local = [](const ZonalKernel& kernel, int64_t k, int64_t dim, double h) {
    const Spectrum s = eigenvalues(kernel, dim, k + 2);
    return (at(s, k + 2).log10_abs - at(s, k).log10_abs) / std::log10((static_cast<double>(k) + 2 + h) / (static_cast<double>(k) + h));
  };
  testing::expect_digits(local(ZonalKernel::ntk(2), 118, 4, 1), "-4.00167");
  testing::expect_digits(local(ZonalKernel::ntk(3), 117, 4, 1), "-4.00157");
  testing::expect_digits(local(ZonalKernel::ntk(3), 118, 4, 1), "-4.00174");
  testing::expect_digits(local(ZonalKernel::ntk(5), 117, 4, 1), "-4.00132");
  testing::expect_digits(local(ZonalKernel::ntk(5), 118, 4, 1), "-4.00139");
  testing::expect_digits(local(ZonalKernel::nngp(3), 118, 4, 1), "-6.00108");
  testing::expect_digits(local(ZonalKernel::laplace(), 117, 4, 1), "-4.00007");
  testing::expect_digits(local(ZonalKernel::step(3), 117, 4, 1), "-3.5368");
  testing::expect_digits(local(ZonalKernel::step(3), 118, 4, 1), "-3.45882");
  testing::expect_digits(local(ZonalKernel::arc_cosine(0), 2001, 3, 0.5), "-3.0");
  testing::expect_digits(local(ZonalKernel::arc_cosine(0), 2001, 5, 1.5), "-5.000002");
  testing::expect_digits(local(ZonalKernel::arc_cosine(0), 2001, 10, 4), "-10.00002");
  testing::expect_digits(local(ZonalKernel::arc_cosine(1), 2000, 3, 0.5), "-5.000002");
  testing::expect_digits(local(ZonalKernel::arc_cosine(1), 2000, 5, 1.5), "-7.000007");
  testing::expect_digits(local(ZonalKernel::arc_cosine(1), 2000, 10, 4), "-12.00003");
}

struct Case {
  ZonalKernel kernel;
  double drop;  ///< theory's exponent is −d − drop
  bool even, odd;
  double bar;   ///< the error bar must be at most this: a bar that holds everything proves nothing
};

TEST(Decay, FittedExponentsAreTheoryWithinTheirErrors) {
  // Theorem 1 and Corollary 3: −d − 2ν + 1 with ν = ½ (step, NTK, Laplace), 3/2 (arc-cosine 1, NNGP), ¼ (step kernel of depth 3).
  const std::vector<Case> cases{{ZonalKernel::arc_cosine(0), 0, false, true, 1e-3}, {ZonalKernel::arc_cosine(1), 2, true, false, 1e-3},
                                {ZonalKernel::ntk(2), 0, true, false, 1e-3}, {ZonalKernel::ntk(3), 0, true, true, 1e-3},
                                {ZonalKernel::ntk(4), 0, true, true, 1e-3}, {ZonalKernel::ntk(5), 0, true, true, 1e-3},
                                {ZonalKernel::nngp(3), 2, true, true, 1e-3}, {ZonalKernel::nngp(5), 2, true, true, 1e-3}, {ZonalKernel::laplace(), 0, true, true, 1e-3},
                                {ZonalKernel::step(3), -0.5, true, true, 0.1}, {ZonalKernel::step(4), -0.75, true, true, 0.1}};
  for (const Case& c : cases)
    for (const int64_t dim : {3, 4, 5, 10}) {
      const SpectrumReport r = report_of(eigenvalues(c.kernel, dim, 200));
      SCOPED_TRACE(fmt::format("{} d = {}: even {} odd {}", c.kernel.name(), dim, fitted_text(r.fitted.even), fitted_text(r.fitted.odd)));
      const double theory = -static_cast<double>(dim) - c.drop;
      for (const auto& [fitted, predicted, there] : {std::tuple{r.fitted.even, r.predicted.even, c.even}, {r.fitted.odd, r.predicted.odd, c.odd}}) {
        EXPECT_EQ(fitted.zero, !there);
        EXPECT_EQ(predicted.zero, !there);
        if (!there) continue;
        EXPECT_NEAR(predicted.exponent, theory, 1e-12);
        ASSERT_TRUE(fitted.known);
        EXPECT_LE(std::abs(fitted.exponent - theory), fitted.error);
        EXPECT_LE(fitted.error, c.bar);
      }
    }
}

TEST(Decay, ErrorBarsGrowWhereTheRangeIsShort) {
  const auto error = [](int64_t k_max) { return fit_decay(eigenvalues(ZonalKernel::ntk(3), 20, k_max)).even.error; };
  EXPECT_GT(error(40), 20 * error(160));
  EXPECT_FALSE(fit_decay(eigenvalues(ZonalKernel::ntk(3), 4, 20)).even.known);
}

TEST(Decay, DeepIsShallow) {
  // NTKs of any depth and the Laplace kernel: their ratio tends to that of (c₁ ± c₋₁); the deep step kernel's does not level off.
  const Spectrum laplace = eigenvalues(ZonalKernel::laplace(), 4, 700);
  for (const int64_t depth : {3, 5, 8}) {
    const Spectrum s = eigenvalues(ZonalKernel::ntk(depth), 4, 700);
    const PredictedDecay p = predicted_decay(s.kernel, 4);
    EXPECT_NEAR(std::pow(10.0, at(s, 700).log10_abs - at(laplace, 700).log10_abs) / ((p.c_plus + p.c_minus) / -std::sqrt(2)), 1, 2e-4);
    EXPECT_NEAR(std::pow(10.0, at(s, 699).log10_abs - at(laplace, 699).log10_abs) / ((p.c_plus - p.c_minus) / -std::sqrt(2)), 1, 2e-4);
  }
  const Spectrum step = eigenvalues(ZonalKernel::step(3), 4, 700);
  const auto over = [&](int64_t k) { return at(step, k).log10_abs - at(laplace, k).log10_abs; };
  EXPECT_NEAR((over(700) - over(174)) / std::log10(4.0), 0.5, 0.05);
}

TEST(Decay, ReportsSayWhatIsKnown) {
  const SpectrumReport shallow = report_of(eigenvalues(ZonalKernel::ntk(2), 4, 120));
  EXPECT_EQ(fitted_text(shallow.fitted.odd), "zero");
  EXPECT_EQ(predicted_text(shallow.predicted, shallow.predicted.odd), "zero");
  EXPECT_EQ(predicted_text(shallow.predicted, shallow.predicted.even), "-4");
  EXPECT_NE(decay_csv({shallow}).find("\"ReLU NTK of depth 2\",4,odd,zero,,zero,,,,"), std::string::npos) << decay_csv({shallow});
  const SpectrumReport gaussian = report_of(eigenvalues(ZonalKernel::gaussian(), 4, 20));
  EXPECT_EQ(predicted_text(gaussian.predicted, gaussian.predicted.even), "–");
  EXPECT_EQ(fitted_text(gaussian.fitted.even), "–");
}

}  // namespace
}  // namespace pathkernel
