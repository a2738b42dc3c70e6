#pragma once

#include <pathkernel/spectrum/numerics/real.h>

#include <algorithm>
#include <vector>

namespace pathkernel {

/// A power series a₀ + a₁x + … + a_{N−1}x^{N−1}, cut off after N coefficients. All operands of an operation have the same N.
/// Products and functions cost O(N²).
struct Series {
  std::vector<Wide> a;

  explicit Series(size_t length) : a(length, Wide(0)) {}
  size_t size() const { return a.size(); }

  Series operator+(const Series& b) const;
  Series operator-(const Series& b) const;
  Series operator*(const Series& b) const;
};

inline Series Series::operator+(const Series& b) const {
  Series sum = *this;
  for (size_t n = 0; n < size(); ++n) sum.a[n] += b.a[n];
  return sum;
}

inline Series Series::operator-(const Series& b) const {
  Series difference = *this;
  for (size_t n = 0; n < size(); ++n) difference.a[n] -= b.a[n];
  return difference;
}

inline Series Series::operator*(const Series& b) const {
  Series product(size());
  for (size_t i = 0; i < size(); ++i) {
    if (a[i] == 0) continue;
    for (size_t j = 0; i + j < size(); ++j) product.a[i + j] += a[i] * b.a[j];
  }
  return product;
}

inline Series operator*(const Wide& s, Series x) {
  for (Wide& c : x.a) c *= s;
  return x;
}
inline Series operator/(const Series& x, const Wide& s) { return (1 / s) * x; }
inline Series operator+(const Wide& s, Series x) {
  x.a[0] += s;
  return x;
}
inline Series operator-(const Wide& s, const Series& x) { return s + Wide(-1) * x; }

template <>
struct Numbers<Series> {
  using Scalar = Wide;
  static const Wide& pi() { return Numbers<Wide>::pi(); }
  static Wide parse(const std::string& text) { return Wide(text); }
};

/// Both from s' = x' c, c' = −x' s.
struct SineCosine {
  Series sine, cosine;
};
inline SineCosine sine_cosine(const Series& x) {
  SineCosine r{Series(x.size()), Series(x.size())};
  r.sine.a[0] = sin(x.a[0]);
  r.cosine.a[0] = cos(x.a[0]);
  for (size_t n = 1; n < x.size(); ++n) {
    Wide s = 0, c = 0;
    for (size_t j = 1; j <= n; ++j) {
      if (x.a[j] == 0) continue;
      const Wide slope = j * x.a[j];
      s += slope * r.cosine.a[n - j];
      c += slope * r.sine.a[n - j];
    }
    r.sine.a[n] = s / n;
    r.cosine.a[n] = -c / n;
  }
  return r;
}
inline Series sin(const Series& x) { return sine_cosine(x).sine; }
inline Series cos(const Series& x) { return sine_cosine(x).cosine; }

/// From e' = x' e.
inline Series exp(const Series& x) {
  using boost::multiprecision::exp;
  Series e(x.size());
  e.a[0] = exp(x.a[0]);
  for (size_t n = 1; n < x.size(); ++n) {
    for (size_t j = 1; j <= n; ++j) e.a[n] += j * x.a[j] * e.a[n - j];
    e.a[n] /= n;
  }
  return e;
}

/// √x where x begins with an even power, x = x^{2m}(b₀ + …), b₀ > 0. The last m coefficients of the result are not known: they are 0.
inline Series sqrt(const Series& x) {
  using boost::multiprecision::sqrt;
  const size_t first = static_cast<size_t>(std::find_if(x.a.begin(), x.a.end(), [](const Wide& c) { return c != 0; }) - x.a.begin());
  const size_t known = x.size() - first, m = first / 2;
  Series r(x.size());
  r.a[m] = sqrt(x.a[first]);
  for (size_t n = 1; n < known; ++n) {
    Wide rest = x.a[first + n];
    for (size_t j = 1; j < n; ++j) rest -= r.a[m + j] * r.a[m + n - j];
    r.a[m + n] = rest / (2 * r.a[m]);
  }
  return r;
}

/// From y' = x'/√(1 − x²), |x₀| < 1.
inline Series asin(const Series& x) {
  using boost::multiprecision::asin;
  const Series root = sqrt(Wide(1) - x * x);
  Series y(x.size());
  y.a[0] = asin(x.a[0]);
  for (size_t n = 1; n < x.size(); ++n) {
    Wide rest = n * x.a[n];
    for (size_t j = 1; j < n; ++j) rest -= (n - j) * y.a[n - j] * root.a[j];
    y.a[n] = rest / (n * root.a[0]);
  }
  return y;
}

}  // namespace pathkernel
