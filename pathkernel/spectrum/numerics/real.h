#pragma once

#include <pathkernel/spectrum/numerics/numbers.h>

#include <boost/math/constants/constants.hpp>
#include <boost/multiprecision/cpp_bin_float.hpp>

#include <cmath>
#include <cstdint>
#include <limits>

namespace pathkernel {

/// Binary floating point of `Bits` bits. For .cpp files of this room only: the headers of Boost.Multiprecision take seconds to read.
template <unsigned Bits>
using Binary = boost::multiprecision::number<
    boost::multiprecision::cpp_bin_float<Bits, boost::multiprecision::digit_base_2, void, std::int32_t>, boost::multiprecision::et_off>;

/// The three precisions a quadrature may run in: 57, 115 and 230 decimal digits.
using Narrow = Binary<192>;
using Wide = Binary<384>;  ///< also what every result and every expansion is kept in
using Widest = Binary<768>;

template <unsigned Bits>
struct Numbers<Binary<Bits>> {
  using Scalar = Binary<Bits>;
  static const Scalar& pi() {
    static const Scalar value = boost::math::constants::pi<Scalar>();
    return value;
  }
  static Scalar parse(const std::string& text) { return Scalar(text); }
};

template <class Real>
constexpr int decimal_digits = std::numeric_limits<Real>::digits10;

/// log₁₀|x| as a double, also where x itself would underflow; −∞ for 0.
template <class Real>
double log10_abs(const Real& x) {
  if (x == 0) return -std::numeric_limits<double>::infinity();
  int exponent = 0;
  const Real mantissa = frexp(x, &exponent);
  return std::log10(std::abs(static_cast<double>(mantissa))) + exponent * std::log10(2.0);
}

/// Γ(n/2) for n ≥ 1, from Γ(½) = √π and Γ(1) = 1.
Wide gamma_of_half(int64_t n);

}  // namespace pathkernel
