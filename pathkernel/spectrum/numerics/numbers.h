#pragma once

#include <cmath>
#include <string>

namespace pathkernel {

/// For formulas that are written once for several kinds of number X: what X is made of, π, and decimal constants. Specialised beside each
/// kind (real.h, series.h).
template <class X>
struct Numbers;

template <>
struct Numbers<double> {
  using Scalar = double;
  static double pi() { return M_PI; }
  static double parse(const std::string& text) { return std::stod(text); }
};

}  // namespace pathkernel
