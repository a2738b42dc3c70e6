#pragma once

#include <pathkernel/spectrum/spectrum.h>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>

namespace pathkernel::testing {

/// Rounded to as many significant digits as `oracle` shows, `value` is the oracle's number.
inline void expect_digits(double value, const std::string& oracle) {
  const std::string mantissa = oracle.substr(0, oracle.find('e'));
  std::string digits;
  for (const char c : mantissa)
    if (std::isdigit(static_cast<unsigned char>(c)) && !(digits.empty() && c == '0')) digits += c;
  const int decimals = static_cast<int>(digits.size()) - 1;
  EXPECT_EQ(fmt::format("{:.{}e}", value, decimals), fmt::format("{:.{}e}", std::stod(oracle), decimals)) << "oracle " << oracle;
}

inline const Eigenvalue& at(const Spectrum& s, int64_t k) { return s.eigenvalues.at(static_cast<size_t>(k)); }

/// |a/b − 1| from the logarithms and signs, so that nothing underflows.
inline double difference(const Eigenvalue& a, const Eigenvalue& b) {
  if (a.mu == "0" || b.mu == "0") return a.mu == b.mu ? 0 : 1;
  if ((a.mu.front() == '-') != (b.mu.front() == '-')) return 2;
  return std::abs(std::expm1((a.log10_abs - b.log10_abs) * std::log(10.0)));
}

}  // namespace pathkernel::testing
