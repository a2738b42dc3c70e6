#include <pathkernel/spectrum/rkhs.h>

#include <pathkernel/core/error.h>
#include <pathkernel/spectrum/multiplicity.h>
#include <pathkernel/spectrum/numerics/real.h>

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace pathkernel {

std::vector<double> powers_of_polynomial(int64_t dim, const std::vector<double>& b) {
  const auto size = static_cast<int64_t>(b.size());
  std::vector<Wide> g(b.size() + 1, Wide(0));
  for (int64_t j = size - 1; j >= 0; --j) {  // Horner: g ← u g + b_j
    std::vector<Wide> next(g.size(), Wide(0));
    for (int64_t k = 0; k < size; ++k) next[k] = ((k > 0 ? k * g[k - 1] : Wide(0)) + (k + dim - 2) * g[k + 1]) / (2 * k + dim - 2);
    g = std::move(next);
    g[0] += b[j];
  }
  std::vector<double> powers;
  for (int64_t k = 0; k < size; ++k) powers.push_back(static_cast<double>(Wide(g[k] * g[k] * Wide(multiplicity(dim, k)))));
  return powers;
}

std::vector<double> powers_of_zonal(int64_t dim, const std::vector<double>& g) {
  std::vector<double> powers;
  for (size_t k = 0; k < g.size(); ++k) {
    const double log10_power = 2 * std::log10(std::abs(g[k])) + log10_multiplicity(dim, static_cast<int64_t>(k));
    powers.push_back(g[k] == 0 ? 0 : std::pow(10.0, log10_power));
  }
  return powers;
}

RkhsNorm rkhs_norm(const Spectrum& spectrum, const std::vector<double>& powers) {
  RkhsNorm norm;
  std::vector<double> logs;
  double largest = -std::numeric_limits<double>::infinity();
  for (size_t k = 0; k < powers.size(); ++k) {
    logs.push_back(-std::numeric_limits<double>::infinity());
    if (powers[k] == 0) continue;
    if (static_cast<int64_t>(k) > spectrum.k_max())
      throw InvalidInput(fmt::format("rkhs_norm: the function has degree {}, the spectrum ends at k = {}: compute it to a larger k_max", k, spectrum.k_max()));
    const Eigenvalue& e = spectrum.eigenvalues[k];
    if (e.mu == "0") {
      norm.missing_degree = static_cast<int64_t>(k);
      norm.squared = norm.log10_squared = std::numeric_limits<double>::infinity();
      return norm;
    }
    if (!(powers[k] > 0) || e.mu.front() == '-' || e.relative_error > 0.1)
      throw InvalidInput(fmt::format("rkhs_norm: degree {}: power {} over μ_{} = {} (relative error {:.0e}): expected a power from zero up, and an eigenvalue above zero that is "
                                     "known to a digit", k, powers[k], k, e.mu, e.relative_error));
    logs.back() = std::log10(powers[k]) - e.log10_abs;
    largest = std::max(largest, logs.back());
  }
  double sum = 0;
  for (const double l : logs) sum += std::pow(10.0, l - largest);
  if (std::isinf(largest)) {  // f = 0
    norm.log10_squared = largest;
    norm.shares.assign(powers.size(), 0);
    return norm;
  }
  norm.log10_squared = largest + std::log10(sum);
  norm.squared = std::pow(10.0, largest) * sum;
  for (const double l : logs) norm.shares.push_back(std::pow(10.0, l - largest) / sum);
  return norm;
}

}  // namespace pathkernel
