#include <pathkernel/spectrum/expansion.h>
#include <pathkernel/spectrum/multiplicity.h>
#include <pathkernel/spectrum/spectrum.h>
#include <spectrum/digits.h>

namespace pathkernel {
namespace {

using testing::at;
using testing::difference;
using testing::expect_digits;
using Source = Eigenvalue::Source;

const auto arc0 = ZonalKernel::arc_cosine(0);
const auto arc1 = ZonalKernel::arc_cosine(1);

/// The same kernel as a user's function, so that it is integrated where there is a closed form.
ZonalKernel as_user(const ZonalKernel& kernel) { return ZonalKernel::user({kernel.name(), [kernel](double u) { return kernel(u); }, {}, 1, {}, {}}); }

TEST(Eigenvalues, OraclesOfArcCosineKernels) {  // theory 7 and verify/logs/v07_spectra.log
  struct Oracle {
    ZonalKernel kernel;
    int64_t dim, k;
    std::string mu;
  };
  const std::vector<Oracle> oracles{
      {arc0, 3, 0, "0.5"}, {arc0, 3, 1, "0.125"}, {arc0, 3, 3, "0.0078125"}, {arc0, 3, 101, "3.044236211011e-7"}, {arc0, 3, 499, "2.554140229248e-9"},
      {arc1, 3, 0, "0.375"}, {arc1, 3, 1, "0.1666666666667"}, {arc1, 3, 2, "0.0234375"}, {arc1, 3, 100, "9.318139611299e-11"}, {arc1, 3, 500, "3.040594866647e-14"},
      {arc0, 5, 0, "0.5"}, {arc0, 5, 1, "0.0703125"}, {arc0, 5, 3, "0.001953125"}, {arc0, 5, 101, "2.533110752506e-10"}, {arc0, 5, 499, "9.12178459994e-14"},
      {arc1, 5, 0, "0.3515625"}, {arc1, 5, 1, "0.1"}, {arc1, 5, 2, "0.009765625"}, {arc1, 5, 100, "1.292271580709e-13"}, {arc1, 5, 500, "1.795513786521e-18"},
      {arc0, 10, 0, "0.5"}, {arc0, 10, 1, "0.03346024233401"}, {arc0, 10, 3, "0.0002765309283802"}, {arc0, 10, 101, "1.841095653207e-16"}, {arc0, 10, 499, "2.88258094212e-23"},
      {arc1, 10, 0, "0.3346024233401"}, {arc1, 10, 1, "0.05"}, {arc1, 10, 2, "0.002765309283802"}, {arc1, 10, 100, "1.878477352523e-19"}, {arc1, 10, 500, "1.112617653213e-27"},
      {arc0, 20, 0, "0.5"}, {arc0, 20, 1, "0.01631822748954"}, {arc0, 20, 3, "3.7002783423e-5"}, {arc0, 20, 101, "1.068601353895e-25"}, {arc0, 20, 499, "5.346596509776e-39"},
      {arc1, 20, 0, "0.3263645497909"}, {arc1, 20, 1, "0.025"}, {arc1, 20, 2, "0.0007400556684601"}, {arc1, 20, 100, "2.180596579727e-28"}, {arc1, 20, 500, "3.969837140326e-43"}};
  for (const Oracle& o : oracles) {
    SCOPED_TRACE(fmt::format("{} d = {} k = {}", o.kernel.name(), o.dim, o.k));
    const Spectrum s = eigenvalues(o.kernel, o.dim, o.k);
    expect_digits(at(s, o.k).value, o.mu);
    EXPECT_EQ(at(s, o.k).source, Source::closed_form);
  }
  const Spectrum s = eigenvalues(arc0, 20, 500);
  for (int64_t k = 2; k <= 500; k += 2) EXPECT_EQ(at(s, k).mu, "0");
}

TEST(Eigenvalues, OraclesOfDeepKernels) {
  const auto first = [](const ZonalKernel& kernel) { return eigenvalues(kernel, 4, 120, {20}); };
  struct Oracle {
    ZonalKernel kernel;
    std::vector<std::string> mu;  // k = 0 … 3, 120
  };
  const std::vector<Oracle> oracles{
      {ZonalKernel::ntk(2), {"0.450316371744", "0.25", "0.0468329026613", "0", "3.78446707598e-9"}},
      {ZonalKernel::ntk(3), {"0.861644639969", "0.269520614946", "0.0636011270745", "0.00916183884861", "6.62304081834e-9"}},
      {ZonalKernel::ntk(5), {"1.65238080452", "0.288608443622", "0.085992612536", "0.0235649834561", "1.92988312349e-8"}},
      {ZonalKernel::nngp(3), {"0.530829095379", "0.0796178421161", "0.0128877352733", "0.00117348889121", "1.29205008032e-12"}},
      {ZonalKernel::step(3), {"0.671348246374", "0.0344987413113", "0.00198430559601", "0.00189151842098", "7.2022142403e-9"}},
      {ZonalKernel::laplace(), {"0.279382317158", "0.0568589088574", "0.0146336009666", "0.00492098409397", "5.93995904634e-9"}}};
  for (const Oracle& o : oracles) {
    SCOPED_TRACE(o.kernel.name());
    const Spectrum s = first(o.kernel);
    for (size_t i = 0; i < 5; ++i) {
      const Eigenvalue& e = at(s, i < 4 ? static_cast<int64_t>(i) : 120);
      if (o.mu[i] == "0") EXPECT_EQ(e.mu, "0");
      else expect_digits(e.value, o.mu[i]);
    }
  }
  const Spectrum s = eigenvalues(ZonalKernel::ntk(3), 20, 500);
  expect_digits(at(s, 499).value, "6.68442342444e-39");
  expect_digits(at(s, 500).value, "8.99745870974e-39");
}

TEST(Eigenvalues, ClosedFormsAgreeWithQuadrature) {
  // The user's function has the digits of a double; its stated error must cover the difference.
  for (const ZonalKernel& kernel : {arc0, arc1, ZonalKernel::arc_cosine(2), ZonalKernel::ntk(2), ZonalKernel::nngp(2), ZonalKernel::gaussian("0.7")})
    for (const int64_t dim : {3, 4, 11}) {
      const Spectrum exact = eigenvalues(kernel, dim, 20), summed = eigenvalues(as_user(kernel), dim, 20);
      for (int64_t k = 0; k <= 20; ++k) {
        SCOPED_TRACE(fmt::format("{} d = {} k = {}: {} {}", kernel.name(), dim, k, at(exact, k).mu, at(summed, k).mu));
        EXPECT_EQ(at(summed, k).source, Source::quadrature);
        const double off = std::abs(at(summed, k).value - at(exact, k).value);
        EXPECT_LE(off, 1e-15);
        EXPECT_LE(off, at(summed, k).relative_error * std::abs(at(summed, k).value) * 1.01 + 1e-20);
      }
    }
}

TEST(Eigenvalues, IndependentSettingsAgree) {
  const auto strings = [](const Spectrum& s) {
    std::vector<std::string> list;
    for (const Eigenvalue& e : s.eigenvalues) list.push_back(e.mu);
    return list;
  };
  for (const ZonalKernel& kernel : {ZonalKernel::ntk(4), ZonalKernel::laplace("2.5"), ZonalKernel::step(4)}) {
    const Spectrum a = eigenvalues(kernel, 7, 60, {40}), b = eigenvalues(kernel, 7, 60, {40, 420});
    EXPECT_NE(a.nodes, b.nodes);
    EXPECT_EQ(a.digits_reached, 40);
    EXPECT_EQ(strings(a), strings(b)) << kernel.name();
    // 90 digits are computed in another arithmetic.
    const Spectrum c = eigenvalues(kernel, 7, 60, {90});
    EXPECT_GT(c.working_digits, a.working_digits);
    for (int64_t k = 0; k <= 60; ++k) EXPECT_EQ(at(c, k).mu.substr(0, 36), at(a, k).mu.substr(0, 36));
  }
  const Spectrum most = eigenvalues(ZonalKernel::ntk(3), 20, 40, {100}), fewer = eigenvalues(ZonalKernel::ntk(3), 20, 40, {50});
  EXPECT_EQ(most.working_digits, 230);
  EXPECT_EQ(most.digits_reached, 100);
  for (int64_t k = 0; k <= 40; ++k) EXPECT_EQ(at(most, k).mu.substr(0, 46), at(fewer, k).mu.substr(0, 46));
}

TEST(Eigenvalues, AsymptoticSeriesContinuesTheQuadrature) {
  for (const auto& [kernel, dim] : {std::pair{ZonalKernel::ntk(3), int64_t{5}}, {ZonalKernel::nngp(4), int64_t{20}}, {ZonalKernel::laplace("3"), int64_t{64}}}) {
    SCOPED_TRACE(kernel.name());
    const Spectrum series = eigenvalues(kernel, dim, 640, {25}), sums = eigenvalues(kernel, dim, 640, {25, 860});
    EXPECT_EQ(at(series, 640).source, Source::asymptotic);
    EXPECT_EQ(at(sums, 640).source, Source::quadrature);
    EXPECT_LT(series.overlap, 1e-25);
    for (int64_t k = 590; k <= 640; ++k) EXPECT_EQ(at(series, k).mu, at(sums, k).mu) << k;
  }
}

TEST(Eigenvalues, LeadingBlockIsAsCloseAsTheoryMeasured) {  // theory 7, d = 4: exact over leading
  const auto ratio = [](const ZonalKernel& kernel, int64_t k) {
    const Spectrum s = eigenvalues(kernel, 4, k);
    const PredictedDecay p = predicted_decay(kernel, 4);
    return std::pow(10.0, at(s, k).log10_abs - log10_leading(k % 2 == 0 ? p.even : p.odd, 4, k));
  };
  expect_digits(ratio(ZonalKernel::ntk(2), 120), "1.0006491");
  expect_digits(ratio(ZonalKernel::ntk(3), 119), "1.0005969");
  expect_digits(ratio(ZonalKernel::ntk(3), 120), "1.0006829");
  expect_digits(ratio(ZonalKernel::ntk(5), 119), "1.0004767");
  expect_digits(ratio(ZonalKernel::ntk(5), 120), "1.0005141");
  expect_digits(ratio(ZonalKernel::laplace(), 119), "0.99986107");
  expect_digits(ratio(ZonalKernel::laplace(), 120), "0.99986335");
}

TEST(Eigenvalues, BuildingBlockIsTheSpectrumOfAPower) {  // theory 7: μ_k[(1−u)^ν] = Γ(d/2) 2^{ν+d−2} Γ(k−ν)Γ(ν+(d−1)/2)/(√π Γ(−ν)Γ(k+ν+d−1)); √(1−u) = √2 sin(θ/2)
  for (const int64_t dim : {3, 4, 10})
    for (const double nu : {0.5, 1.5, 2.5}) {
      const Spectrum s = eigenvalues(ZonalKernel::user({"(1-u)^nu", [nu](double u) { return std::pow(1 - u, nu); }, {}, 1, {{nu, 1}}, {}}), dim, 12);
      const PredictedDecay p = predicted_decay(s.kernel, dim);
      const double sign = nu == 1.5 ? 1 : -1;  // of 1/Γ(−ν)
      for (int64_t k = 3; k <= 12; ++k)
        EXPECT_NEAR(at(s, k).value, sign * std::pow(10.0, log10_leading(k % 2 == 0 ? p.even : p.odd, dim, k)), 1e-14) << "d = " << dim << " nu = " << nu << " k = " << k;
    }
}

TEST(Eigenvalues, AddUpToTheTrace) {
  for (const ZonalKernel& kernel : {arc0, arc1, ZonalKernel::ntk(2), ZonalKernel::ntk(3), ZonalKernel::ntk(5), ZonalKernel::nngp(3), ZonalKernel::laplace("2"), ZonalKernel::step(3)})
    for (const int64_t dim : {3, 8}) {
      const Spectrum s = eigenvalues(kernel, dim, 100);
      SCOPED_TRACE(s.full());
      EXPECT_TRUE(s.trace.tail_known);
      EXPECT_LT(std::abs(s.trace.gap), 1e-18);
      EXPECT_NEAR(s.trace.partial + s.trace.tail, s.trace.kappa_at_one, 1e-12);
      EXPECT_LT(s.trace.partial, s.trace.kappa_at_one);
    }
  const Spectrum gaussian = eigenvalues(ZonalKernel::gaussian("1.5"), 6, 60);
  EXPECT_LT(std::abs(gaussian.trace.gap), 1e-30);
  EXPECT_FALSE(eigenvalues(ZonalKernel::laplace("50"), 10, 20).trace.tail_known);
}

TEST(Eigenvalues, MultiplicitiesAreExact) {
  EXPECT_EQ(multiplicity(3, 500), "1001");
  EXPECT_EQ(multiplicity(4, 500), "251001");
  EXPECT_EQ(multiplicity(64, 0), "1");
  EXPECT_EQ(multiplicity(64, 1), "64");
  EXPECT_EQ(multiplicity(10, 2), "54");
  EXPECT_EQ(multiplicity(20, 499), "1584500780427844091873095733568000");
  for (const int64_t k : {1, 7, 500}) EXPECT_NEAR(log10_multiplicity(64, k), std::log10(std::stod(multiplicity(64, k))), 1e-12);
}

TEST(Eigenvalues, StayRightWhereDoublesUnderflow) {
  const Spectrum s = eigenvalues(ZonalKernel::gaussian("0.5"), 20, 200, {12});
  EXPECT_EQ(at(s, 200).value, 0);
  // The leading term of the Bessel function: e^{-1} Γ(10)/Γ(210) 2^{-200}, and the next one 1/(4·210) of it.
  const double log10_mu = (-1 + std::lgamma(10.0) - std::lgamma(210.0) - 200 * std::log(2.0) + std::log1p(1 / (4 * 210.0) + 1 / (2 * 16 * 210.0 * 211.0))) / std::log(10.0);
  EXPECT_NEAR(at(s, 200).log10_abs, log10_mu, 1e-9);
  EXPECT_EQ(at(s, 200).mu.size(), std::string("1.23456789012e-450").size());
}

TEST(Eigenvalues, UsersKernelInDecimalsHasAllItsDigits) {
  const auto linear = ZonalKernel::user({"u", [](double u) { return u; }, [](const std::string& u, int) { return u; }, 1, {}, {}});
  const Spectrum s = eigenvalues(linear, 5, 6, {30});
  EXPECT_EQ(at(s, 1).mu, "2.00000000000000000000000000000e-01");  // κ(u) = u = μ_1 N(d,1) u: 1/d
  for (const int64_t k : {0, 2, 3, 4, 5, 6}) EXPECT_LT(std::abs(at(s, k).value), 1e-50) << k;
}

TEST(Eigenvalues, UsersKernelInDoubleSaysHowFarItIsRight) {
  const auto laplace = ZonalKernel::laplace("1");
  const Spectrum rough = eigenvalues(as_user(laplace), 4, 60), exact = eigenvalues(laplace, 4, 60);
  EXPECT_LT(rough.digits_reached, 14);
  EXPECT_GT(rough.digits_reached, 5);
  for (int64_t k = 0; k <= 60; ++k) EXPECT_LE(difference(at(rough, k), at(exact, k)), at(rough, k).relative_error) << k;
  EXPECT_NE(rough.brief().find("(16 were asked for)"), std::string::npos) << rough.brief();
  // Not smooth in the angle: quadrature converges slowly, and says so.
  const Spectrum kink = eigenvalues(ZonalKernel::user({"|u|", [](double u) { return std::abs(u); }, {}, 1, {}, {}}), 4, 4);
  EXPECT_LT(kink.digits_reached, 8);
  EXPECT_NEAR(at(kink, 0).value, 4 / (3 * M_PI), at(kink, 0).relative_error);
}

TEST(Eigenvalues, CsvHasALineForEveryDegree) {
  EXPECT_EQ(to_csv(eigenvalues(arc0, 3, 2, {5})), "k,multiplicity,mu\n0,1,5.0000e-01\n1,3,1.2500e-01\n2,5,0\n");
}

}  // namespace
}  // namespace pathkernel
