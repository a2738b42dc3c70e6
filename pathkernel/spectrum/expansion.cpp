#include <pathkernel/spectrum/expansion.h>

#include <pathkernel/spectrum/numerics/asymptotic.h>
#include <pathkernel/spectrum/numerics/kernel_value.h>
#include <pathkernel/spectrum/numerics/series.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace pathkernel {
namespace {

/// Largest ν of interest: smaller where the step 1/2p between exponents is small, for then so many terms are enough.
int64_t largest_nu(int64_t power) { return power == 1 ? 12 : power == 2 ? 8 : power == 4 ? 6 : 4; }

/// κ as a series in σ: at u = 1 θ = 2 asin(σ^p/√2), at u = −1 θ = π − 2 asin(σ/√2).
Series series_at(const ZonalKernel& kernel, int64_t power, bool plus, size_t length) {
  Series x(length);
  x.a[static_cast<size_t>(power)] = 1 / sqrt(Wide(2));
  const Series angle = Wide(2) * asin(x);
  return value_at_angle(kernel, plus ? angle : Numbers<Wide>::pi() - angle);
}

std::vector<WideTerm> terms_of(const Series& series, int64_t power, int64_t last_nu) {
  Wide largest = 0;
  const int64_t step = 2 * power;
  for (int64_t j = 0; j < last_nu * step; ++j) largest = std::max<Wide>(largest, abs(series.a[j]));
  std::vector<WideTerm> terms;
  for (int64_t j = 1; j < last_nu * step; ++j) {
    const Wide& c = series.a[j];
    if (j % step != 0 && abs(c) > largest * 1e-70) terms.push_back({Wide(j) / step, c});  // below: a zero, with rounding
  }
  return terms;
}

std::vector<WideTerm> widen(const std::vector<ExpansionTerm>& terms) {
  std::vector<WideTerm> wide;
  for (const ExpansionTerm& t : terms)
    if (t.nu != std::floor(t.nu)) wide.push_back({Wide(t.nu), Wide(t.c)});
  return wide;
}

std::vector<ExpansionTerm> shorten(const std::vector<WideTerm>& terms) {
  std::vector<ExpansionTerm> list;
  for (const WideTerm& t : terms) list.push_back({static_cast<double>(t.nu), static_cast<double>(t.c)});
  return list;
}

double coefficient(const std::vector<ExpansionTerm>& terms, double nu) {
  for (const ExpansionTerm& t : terms)
    if (t.nu == nu) return t.c;
  return 0;
}

/// log of |Γ(d/2) 2^{ν+d−2} Γ(ν+(d−1)/2)/(√π Γ(−ν))|
double log_block_constant(double nu, double d) {
  return std::lgamma(d / 2) + (nu + d - 2) * std::log(2.0) + std::lgamma(nu + (d - 1) / 2) - 0.5 * std::log(M_PI) - std::lgamma(-nu);
}

ParityDecay parity_decay(const std::vector<double>& exponents, const Expansion& e, double sign, int64_t dim) {
  for (const double nu : exponents) {
    const double plus = coefficient(e.at_plus_one, nu), minus = coefficient(e.at_minus_one, nu), c = plus + sign * minus;
    if (std::abs(c) <= 1e-14 * (std::abs(plus) + std::abs(minus))) continue;
    const auto d = static_cast<double>(dim);
    return {false, nu, c, -d - 2 * nu + 1, (std::log(std::abs(c)) + log_block_constant(nu, d)) / std::log(10.0)};
  }
  return {true, 0, 0, -std::numeric_limits<double>::infinity(), -std::numeric_limits<double>::infinity()};
}

}  // namespace

WideExpansion wide_expansion(const ZonalKernel& kernel) {
  if (kernel.family() == ZonalKernel::Family::user) {
    const UserKernel& u = kernel.user_kernel();
    return {widen(u.at_plus_one), widen(u.at_minus_one)};
  }
  if (kernel.family() == ZonalKernel::Family::gaussian) return {};
  const int64_t power = kernel.power(), last = largest_nu(power);
  // A square root leaves coefficients at the end unknown: one in all for ReLU layers, whose 1 − κ knows one more than its angle did, and
  // p/2 + p/4 + … for step layers.
  const auto length = [&](int64_t p) { return static_cast<size_t>(2 * p * last + p + 1); };
  return {terms_of(series_at(kernel, power, true, length(power)), power, last), terms_of(series_at(kernel, 1, false, length(1)), 1, last)};
}

Expansion expansion(const ZonalKernel& kernel) {
  const WideExpansion wide = wide_expansion(kernel);
  return {shorten(wide.at_plus_one), shorten(wide.at_minus_one), wide.known()};
}

PredictedDecay predicted_decay(const ZonalKernel& kernel, int64_t dim) {
  const Expansion e = expansion(kernel);
  if (!e.known) return {};
  std::vector<double> exponents;
  for (const auto* terms : {&e.at_plus_one, &e.at_minus_one})
    for (const ExpansionTerm& t : *terms) exponents.push_back(t.nu);
  std::sort(exponents.begin(), exponents.end());
  PredictedDecay decay{true, parity_decay(exponents, e, 1, dim), parity_decay(exponents, e, -1, dim)};
  decay.nu = exponents.front();
  decay.c_plus = coefficient(e.at_plus_one, decay.nu);
  decay.c_minus = coefficient(e.at_minus_one, decay.nu);
  return decay;
}

double log10_leading(const ParityDecay& decay, int64_t dim, int64_t k) {
  const auto d = static_cast<double>(dim), n = static_cast<double>(k);
  return (std::log(std::abs(decay.c)) + log_block_constant(decay.nu, d) + std::lgamma(n - decay.nu) - std::lgamma(n + decay.nu + d - 1)) / std::log(10.0);
}

}  // namespace pathkernel
