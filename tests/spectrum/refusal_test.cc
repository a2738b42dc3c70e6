#include <pathkernel/core/error.h>
#include <pathkernel/spectrum/hermite.h>
#include <pathkernel/spectrum/learning_curve.h>
#include <pathkernel/spectrum/multiplicity.h>
#include <pathkernel/spectrum/rkhs.h>
#include <pathkernel/spectrum/spectrum.h>
#include <scratch.h>
#include <spectrum/digits.h>

#include <limits>

namespace pathkernel {
namespace {

using Points = std::vector<double>;
const auto ntk = ZonalKernel::ntk(3);

double inner(const Points& x, const Points& y) {
  double sum = 0;
  for (size_t i = 0; i < x.size(); ++i) sum += x[i] * y[i];
  return sum;
}

TEST(SpectrumRefusal, DimensionsBelowThree) {
  EXPECT_REFUSED(InvalidInput, "On the circle, d = 2", eigenvalues(ntk, 2, 10));
  EXPECT_REFUSED(InvalidInput, "d = 1: expected 3 to 10000", eigenvalues(ntk, 1, 10));
  EXPECT_REFUSED(InvalidInput, "d = -3", eigenvalues(ntk, -3, 10));
  EXPECT_REFUSED(InvalidInput, "expected d ≥ 3", multiplicity(2, 1));
}

TEST(SpectrumRefusal, DegreesBeyondTheNodes) {
  EXPECT_REFUSED(InvalidInput, "k_max = 100 is beyond 100 nodes", eigenvalues(ntk, 4, 100, {16, 100}));
  EXPECT_REFUSED(InvalidInput, "Expected at least 244 nodes", eigenvalues(ntk, 4, 100, {16, 50}));
  EXPECT_EQ(eigenvalues(ntk, 4, 20, {16, 164}).digits_reached, 16);
  // The deep step kernel's threshold is higher: 130 nodes for k = 100.
  EXPECT_REFUSED(InvalidInput, "with 130 or fewer", eigenvalues(ZonalKernel::step(3), 4, 100, {16, 120}));
  const auto laplace = ZonalKernel::laplace();
  EXPECT_REFUSED(InvalidInput, "k_max = 20000 is beyond the nodes", eigenvalues(ZonalKernel::user({"l", [laplace](double u) { return laplace(u); }, {}, 1, {}, {}}), 4, 20000));
  EXPECT_REFUSED(InvalidInput, "k_max = -1", eigenvalues(ntk, 4, -1));
}

TEST(SpectrumRefusal, TheThresholdIsWhereTheSumsBreakDown) {  // what is refused would be of the size of the kernel (theory 7)
  const testing::Scratch unused;
  const Spectrum exact = eigenvalues(ntk, 20, 120), barely = eigenvalues(ntk, 20, 120, {16, 125});
  EXPECT_LT(barely.digits_reached, 16);  // few nodes: fewer digits, and it says so
  for (int64_t k = 0; k <= 120; ++k) {
    const double off = testing::difference(testing::at(barely, k), testing::at(exact, k));
    EXPECT_LE(off, 1.1 * testing::at(barely, k).relative_error + 1e-15) << k;
  }
}

TEST(SpectrumRefusal, DigitsBeyondTheArithmetic) {
  EXPECT_REFUSED(InvalidInput, "101 digits are beyond the working precision: expected 1 to 100", eigenvalues(ntk, 4, 10, {101}));
  EXPECT_REFUSED(InvalidInput, "0 digits", eigenvalues(ntk, 4, 10, {0}));
  EXPECT_REFUSED(InvalidInput, "digits cancel in its sum, and the widest arithmetic has 230", eigenvalues(ntk, 1000, 500, {40}));
}

TEST(SpectrumRefusal, KernelsThatAreNotZonal) {
  const auto two_patches = [](const Points& x, const Points& y) {  // a convolution over two halves, ReLU-like
    double sum = 0;
    for (const size_t from : {size_t{0}, x.size() / 2}) {
      const Points a(x.begin() + from, x.begin() + from + x.size() / 2), b(y.begin() + from, y.begin() + from + x.size() / 2);
      sum += std::exp(inner(a, b));
    }
    return sum;
  };
  EXPECT_REFUSED(InvalidInput, "is not zonal: for two pairs of points of the sphere with the same inner product", ZonalKernel::from_points("conv", two_patches, 6));
  EXPECT_REFUSED(InvalidInput, "tells coordinates apart", ZonalKernel::from_points("first", [](const Points& x, const Points& y) { return x[0] * y[0]; }, 3));
  const auto zonal = ZonalKernel::from_points("e", [](const Points& x, const Points& y) { return std::exp(inner(x, y) - 1); }, 6);
  const Spectrum given = eigenvalues(zonal, 6, 8), exact = eigenvalues(ZonalKernel::gaussian("0.5"), 6, 8);
  for (int64_t k = 0; k <= 8; ++k) EXPECT_LT(testing::difference(testing::at(given, k), testing::at(exact, k)), 1e-6) << k;
}

TEST(SpectrumRefusal, KernelsThatAreNotThere) {
  EXPECT_REFUSED(InvalidInput, "order 3: expected 0, 1 or 2", ZonalKernel::arc_cosine(3));
  EXPECT_REFUSED(InvalidInput, "depth 1: expected 2 to 100", ZonalKernel::ntk(1));
  EXPECT_REFUSED(InvalidInput, "depth 8: expected 2 to 7", ZonalKernel::step(8));
  for (const char* scale : {"0", "-1", "one", "1e9", "nan", "0x1p3", "1 ", ""}) EXPECT_REFUSED(InvalidInput, "expected a decimal number above 0", ZonalKernel::laplace(scale));
  EXPECT_REFUSED(InvalidInput, "has no function", ZonalKernel::user({"empty", {}, {}, 1, {}, {}}));
  const auto broken = ZonalKernel::user({"log", [](double u) { return std::log(u); }, {}, 1, {}, {}});
  EXPECT_REFUSED(InvalidInput, "expected a finite number", eigenvalues(broken, 4, 3));
  const auto words = ZonalKernel::user({"words", [](double) { return 1.0; }, [](const std::string&, int) { return "one"; }, 1, {}, {}});
  EXPECT_REFUSED(InvalidInput, "gave 'one'", eigenvalues(words, 4, 3));
}

TEST(SpectrumRefusal, FunctionsAndCurves) {
  const Spectrum s = eigenvalues(ntk, 4, 5);
  EXPECT_REFUSED(InvalidInput, "has degree 6, the spectrum ends at k = 5", rkhs_norm(s, {0, 0, 0, 0, 0, 0, 1}));
  EXPECT_REFUSED(InvalidInput, "power -1", rkhs_norm(s, {-1}));
  EXPECT_REFUSED(InvalidInput, "learns degrees beyond k_max = 5", learning_curve(s, {1}, {100000}));
  EXPECT_REFUSED(InvalidInput, "expected 1 to 6 numbers", learning_curve(s, {}, {10}));
  EXPECT_REFUSED(InvalidInput, "ridge -1", learning_curve(s, {1}, {10}, {-1, 0}));
  EXPECT_REFUSED(InvalidInput, "unknown activation 'swish'", hermite_activation("swish"));
  EXPECT_REFUSED(InvalidInput, "gave inf at x =", hermite_coefficients([](double x) { return x > 1 ? std::numeric_limits<double>::infinity() : 0; }, 4));
  const auto negative = ZonalKernel::user({"-u", [](double u) { return -u; }, {}, 1, {}, {}});
  EXPECT_REFUSED(InvalidInput, "is negative: expected a positive semi-definite kernel", learning_curve(eigenvalues(negative, 4, 2), {0, 1}, {10}));
}

}  // namespace
}  // namespace pathkernel
