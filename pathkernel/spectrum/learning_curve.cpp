#include <pathkernel/spectrum/learning_curve.h>

#include <pathkernel/core/error.h>

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace pathkernel {
namespace {

/// The spectrum as the equations need it.
struct Modes {
  std::vector<double> mu, weight;  ///< μ_k; N μ_k
  double rest = 0;                 ///< Σ N μ_k beyond
};

Modes modes_of(const Spectrum& s) {
  Modes m;
  for (const Eigenvalue& e : s.eigenvalues) {
    if (e.mu.front() == '-' && e.relative_error < 0.1)
      throw InvalidInput(fmt::format("learning_curve: μ_{} = {} of the {} is negative: expected a positive semi-definite kernel", e.k, e.mu, s.kernel.name()));
    const bool known = e.relative_error < 0.1;
    m.mu.push_back(known ? e.value : 0);
    m.weight.push_back(known ? std::pow(10.0, e.log10_abs + e.log10_multiplicity) : 0);
    m.rest += m.weight.back();
  }
  m.rest = std::max(0.0, s.trace.kappa_at_one - m.rest);
  return m;
}

/// κ of κ = λ + rest + κ Σ N μ/(nμ + κ). With λ + rest = 0 and n at or above the number of modes it is 0.
double solve(const Modes& m, double n, double ridge) {
  // 1 = (λ + rest)/κ + Σ N μ/(nμ + κ): the right-hand side falls in κ. Bisection of log κ.
  const auto excess = [&](double kappa) {
    double sum = (ridge + m.rest) / kappa - 1;
    for (size_t k = 0; k < m.mu.size(); ++k) sum += m.weight[k] / (n * m.mu[k] + kappa);
    return sum;
  };
  double high = ridge + m.rest;
  for (const double w : m.weight) high += w;
  double low = high * 1e-300;
  if (excess(low) <= 0) return 0;
  for (int step = 0; step < 1100 && high > low * (1 + 1e-15); ++step) {
    const double middle = std::sqrt(low) * std::sqrt(high);
    (excess(middle) > 0 ? low : high) = middle;
  }
  return high;
}

LearningCurvePoint point(const Spectrum& s, const Modes& m, const std::vector<double>& powers, int64_t size, const LearningCurveOptions& o) {
  const auto n = static_cast<double>(size);
  const double kappa = solve(m, n, o.ridge);
  const size_t last = m.mu.size() - 1;
  if (m.rest > 0 && n * std::max(m.mu[last], m.mu[last > 0 ? last - 1 : 0]) > 0.01 * kappa)  // of two, for one parity may be zero
    throw InvalidInput(fmt::format("learning_curve: with n = {} the {} learns degrees beyond k_max = {}: compute the spectrum to a larger k_max", size, s.kernel.name(), s.k_max()));
  double gamma = 0, target = 0;
  for (size_t k = 0; k < m.mu.size(); ++k) {
    if (n > 0 && m.mu[k] > 0) gamma += m.weight[k] / m.mu[k] / n * std::pow(n * m.mu[k] / (n * m.mu[k] + kappa), 2);
  }
  LearningCurvePoint p;
  p.n = size;
  p.effective_ridge = kappa;
  for (size_t k = 0; k < powers.size(); ++k) {
    const double unlearned = m.mu[k] == 0 ? 1 : kappa / (n * m.mu[k] + kappa);
    target += powers[k] * unlearned * unlearned;
    p.learned.push_back(1 - unlearned);
  }
  p.from_target = target / (1 - gamma);
  p.from_noise = o.noise == 0 ? 0 : o.noise * gamma / (1 - gamma);
  p.error = p.from_target + p.from_noise;
  return p;
}

}  // namespace

std::vector<LearningCurvePoint> learning_curve(const Spectrum& spectrum, const std::vector<double>& powers, const std::vector<int64_t>& sizes,
                                               const LearningCurveOptions& options) {
  if (options.ridge < 0 || options.noise < 0 || !std::isfinite(options.ridge + options.noise))
    throw InvalidInput(fmt::format("learning_curve: ridge {} and noise {}: expected numbers from zero up", options.ridge, options.noise));
  if (powers.empty() || powers.size() > spectrum.eigenvalues.size() || std::any_of(powers.begin(), powers.end(), [](double p) { return !(p >= 0) || std::isinf(p); }))
    throw InvalidInput(fmt::format("learning_curve: {} powers of the target: expected 1 to {} numbers from zero up, one a degree", powers.size(), spectrum.eigenvalues.size()));
  if (std::any_of(sizes.begin(), sizes.end(), [](int64_t n) { return n < 0; })) throw InvalidInput("learning_curve: a training set of negative size");
  const Modes modes = modes_of(spectrum);
  std::vector<LearningCurvePoint> curve;
  for (const int64_t n : sizes) curve.push_back(point(spectrum, modes, powers, n, options));
  return curve;
}

}  // namespace pathkernel
