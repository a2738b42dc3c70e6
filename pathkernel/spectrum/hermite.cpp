#include <pathkernel/spectrum/hermite.h>

#include <pathkernel/core/error.h>

#include <boost/math/quadrature/gauss.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

namespace pathkernel {
namespace {

constexpr int64_t largest_n = 2000;
constexpr std::array<const char*, 8> names{"relu", "abs", "step", "erf", "sin", "cos", "exp", "gelu"};

void check(int64_t n_max) {
  if (n_max < 0 || n_max > largest_n) throw InvalidInput(fmt::format("hermite_coefficients: n_max = {}: expected 0 to {}", n_max, largest_n));
}

/// a_{n+2} = ratio(n) a_n for all n of first's parity from first on.
template <class Ratio>
void continue_by(std::vector<double>& a, int64_t first, double value, const Ratio& ratio) {
  const auto size = static_cast<int64_t>(a.size());
  for (int64_t n = first; n < size; n += 2) {
    a[n] = value;
    const auto m = static_cast<double>(n);
    value *= ratio(m) / std::sqrt((m + 1) * (m + 2));
  }
}

void set(std::vector<double>& a, size_t n, double value) {
  if (n < a.size()) a[n] = value;
}

}  // namespace

HermiteActivation hermite_activation(const std::string& name) {
  const auto found = std::find(names.begin(), names.end(), name);
  if (found == names.end()) throw InvalidInput(fmt::format("hermite: unknown activation '{}': expected one of {}", name, fmt::join(names, ", ")));
  return static_cast<HermiteActivation>(found - names.begin());
}

double evaluate(HermiteActivation activation, double x) {
  switch (activation) {
    case HermiteActivation::relu: return std::max(x, 0.0);
    case HermiteActivation::abs: return std::abs(x);
    case HermiteActivation::step: return x > 0 ? 1 : 0;
    case HermiteActivation::erf: return std::erf(x);
    case HermiteActivation::sin: return std::sin(x);
    case HermiteActivation::cos: return std::cos(x);
    case HermiteActivation::exp: return std::exp(x);
    default: return x * 0.5 * std::erfc(-x / std::sqrt(2.0));
  }
}

std::vector<double> hermite_coefficients(HermiteActivation activation, int64_t n_max) {
  check(n_max);
  std::vector<double> a(static_cast<size_t>(n_max) + 1, 0.0);
  const double at_zero = 1 / std::sqrt(2 * M_PI);  // the normal density
  const auto kink = [](double n) { return 1 - n; };
  switch (activation) {
    case HermiteActivation::relu:  // 1/√2π, ½, even: (−1)^{n/2−1}(n−3)!!/√(2πn!)
      set(a, 1, 0.5);
      continue_by(a, 0, at_zero, kink);
      break;
    case HermiteActivation::abs: continue_by(a, 0, 2 * at_zero, kink); break;
    case HermiteActivation::step:  // ½, odd: (−1)^{(n−1)/2}(n−2)!!/√(2πn!)
      set(a, 0, 0.5);
      continue_by(a, 1, at_zero, [](double n) { return -n; });
      break;
    case HermiteActivation::erf:  // odd: 2 d_{n−1}(3/2)/√n!, d_{m+2} = −(m+1) d_m/σ², d_0 = 1/(σ√2π)
      continue_by(a, 1, 2 * at_zero / std::sqrt(1.5), [](double n) { return -n / 1.5; });
      break;
    case HermiteActivation::sin: continue_by(a, 1, std::exp(-0.5), [](double) { return -1; }); break;
    case HermiteActivation::cos: continue_by(a, 0, std::exp(-0.5), [](double) { return -1; }); break;
    case HermiteActivation::exp:
      continue_by(a, 0, std::exp(0.5), [](double) { return 1; });
      continue_by(a, 1, std::exp(0.5), [](double) { return 1; });
      break;
    case HermiteActivation::gelu: {  // 1/(2√π), ½, even: (d_{n−2}(2) − d_n(2))/√n! = d_{n−2}(2)(n+1)/2/√n!
      set(a, 0, 0.5 / std::sqrt(M_PI));
      set(a, 1, 0.5);
      continue_by(a, 2, 0.75 * at_zero, [](double n) { return -(n - 1) / 2 * (n + 3) / (n + 1); });
      break;
    }
  }
  return a;
}

std::vector<double> hermite_coefficients(const std::function<double(double)>& phi, int64_t n_max, const std::vector<double>& breaks) {
  check(n_max);
  const double end = 2 * std::sqrt(static_cast<double>(n_max) + 1) + 14;  // h_n times the density is below 1e-30 there
  std::vector<double> cuts;
  for (double x = -end; x < end; x += 0.5) cuts.push_back(x);
  cuts.push_back(end);
  for (const double b : breaks)
    if (std::abs(b) < end) cuts.push_back(b);
  std::sort(cuts.begin(), cuts.end());

  std::vector<double> a(static_cast<size_t>(n_max) + 1, 0.0);
  const auto add = [&](double x, double w) {
    const double value = phi(x);
    if (!std::isfinite(value)) throw InvalidInput(fmt::format("hermite_coefficients: the activation gave {} at x = {}: expected a finite number", value, x));
    // h_n times the root of the density, so that neither overflows; the other root goes with φ.
    const double root = std::exp(-x * x / 4) / std::pow(2 * M_PI, 0.25);
    double before = 0, h = root;
    for (int64_t n = 0; n <= n_max; ++n) {
      a[n] += w * value * root * h;
      const auto m = static_cast<double>(n);
      const double next = (x * h - std::sqrt(m) * before) / std::sqrt(m + 1);
      before = h;
      h = next;
    }
  };
  using Rule = boost::math::quadrature::gauss<double, 20>;
  for (size_t piece = 0; piece + 1 < cuts.size(); ++piece) {
    const double middle = (cuts[piece] + cuts[piece + 1]) / 2, half = (cuts[piece + 1] - cuts[piece]) / 2;
    for (size_t i = 0; i < Rule::abscissa().size(); ++i)
      for (const double side : {-1.0, 1.0}) add(middle + side * half * Rule::abscissa()[i], half * Rule::weights()[i]);
  }
  return a;
}

double hermite_dual(const std::vector<double>& coefficients, double rho) {
  double sum = 0;
  for (size_t n = coefficients.size(); n-- > 0;) sum = sum * rho + coefficients[n] * coefficients[n];
  return sum;
}

}  // namespace pathkernel
