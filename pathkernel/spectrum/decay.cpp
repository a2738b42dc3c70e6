#include <pathkernel/spectrum/decay.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

namespace pathkernel {
namespace {

struct Points {
  std::vector<double> x, y;  ///< y = log(μ_k N)
  std::vector<int64_t> k;
};

bool is_fitted(const Eigenvalue& e, int64_t parity, int64_t first_k) { return e.k % 2 == parity && e.k >= std::max<int64_t>(first_k, 2); }

Points points_of(const Spectrum& s, int64_t parity, int64_t first_k) {
  Points p;
  for (const Eigenvalue& e : s.eigenvalues) {
    if (!is_fitted(e, parity, first_k) || std::isinf(e.log10_abs) || e.relative_error > 1e-9) continue;
    const auto k = static_cast<double>(e.k);
    p.x.push_back(std::sqrt(k * (k + static_cast<double>(s.dim) - 2)));
    p.y.push_back((e.log10_abs + e.log10_multiplicity) * std::log(10.0));
    p.k.push_back(e.k);
  }
  return p;
}

struct Line {
  double slope = 0, residual = 0;
};

/// Least squares of y against 1, x^{−r}, …, x^{−terms·r}, log x, by orthogonalising the columns one after another, log x last: its coefficient
/// is then y's share of what is left of it.
Line fit(const Points& p, size_t from, double r, int terms) {
  const size_t n = p.x.size() - from;
  std::vector<std::vector<double>> columns(static_cast<size_t>(terms) + 2, std::vector<double>(n, 1.0));
  std::vector<double> y(p.y.begin() + static_cast<std::ptrdiff_t>(from), p.y.end());
  for (size_t i = 0; i < n; ++i) {
    const double x = p.x[from + i] / p.x.back();
    for (int j = 1; j <= terms; ++j) columns[static_cast<size_t>(j)][i] = std::pow(x, -r * j);
    columns.back()[i] = std::log(x);
  }
  const auto dot = [n](const std::vector<double>& a, const std::vector<double>& b) {
    double sum = 0;
    for (size_t i = 0; i < n; ++i) sum += a[i] * b[i];
    return sum;
  };
  const auto remove = [&](std::vector<double>& from_column, const std::vector<double>& q) {
    for (int twice = 0; twice < 2; ++twice) {  // the second time for the rounding of the first
      const double share = dot(from_column, q) / dot(q, q);
      for (size_t i = 0; i < n; ++i) from_column[i] -= share * q[i];
    }
  };
  for (size_t c = 0; c < columns.size(); ++c)
    for (size_t before = 0; before < c; ++before) remove(columns[c], columns[before]);
  for (size_t c = 0; c + 1 < columns.size(); ++c) remove(y, columns[c]);
  const double slope = dot(y, columns.back()) / dot(columns.back(), columns.back());
  remove(y, columns.back());
  return {slope, std::sqrt(dot(y, y) / static_cast<double>(n))};
}

/// How far the slope moves with other choices of the fit.
double uncertainty(const Points& p, const std::vector<double>& corrections, const std::vector<Line>& lines, size_t best) {
  std::vector<size_t> order(lines.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&](size_t i, size_t j) { return lines[i].residual < lines[j].residual; });
  double largest = 0;
  for (size_t i = 0; i < order.size(); ++i) {
    const size_t j = order[i];
    if (i > 1 && lines[j].residual > 10 * lines[best].residual) break;
    const double upper_half = fit(p, p.x.size() / 2, corrections[j], 2).slope;
    largest = std::max({largest, std::abs(lines[j].slope - lines[best].slope), std::abs(upper_half - lines[best].slope)});
  }
  return largest + std::abs(fit(p, 0, corrections[best], 1).slope - lines[best].slope);
}

FittedExponent fit_parity(const Spectrum& s, int64_t parity, int64_t first_k) {
  const Points p = points_of(s, parity, first_k);
  FittedExponent f;
  f.zero = std::all_of(s.eigenvalues.begin(), s.eigenvalues.end(), [&](const Eigenvalue& e) { return !is_fitted(e, parity, first_k) || e.mu == "0"; });
  f.count = static_cast<int64_t>(p.x.size());
  if (f.zero || f.count < 12) return f;
  const std::vector<double> corrections{0.25, 0.5, 0.75, 1.0, 1.5, 2.0};
  std::vector<Line> lines;
  for (const double r : corrections) lines.push_back(fit(p, 0, r, 2));
  const auto best = static_cast<size_t>(std::min_element(lines.begin(), lines.end(), [](const Line& a, const Line& b) { return a.residual < b.residual; }) - lines.begin());
  f.known = true;
  f.exponent = lines[best].slope - static_cast<double>(s.dim - 2);
  f.error = uncertainty(p, corrections, lines, best);
  f.correction = corrections[best];
  f.first_k = p.k.front();
  f.last_k = p.k.back();
  return f;
}

}  // namespace

FittedDecay fit_decay(const Spectrum& spectrum, int64_t first_k) {
  const int64_t from = first_k > 0 ? first_k : spectrum.k_max() / 4;
  return {fit_parity(spectrum, 0, from), fit_parity(spectrum, 1, from)};
}

}  // namespace pathkernel
