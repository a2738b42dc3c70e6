#include <pathkernel/spectrum/numerics/checked_quadrature.h>

#include <pathkernel/core/error.h>
#include <pathkernel/spectrum/multiplicity.h>
#include <pathkernel/spectrum/numerics/quadrature.h>

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace pathkernel {
namespace {

constexpr int most_attempts = 5;

/// Nodes of the second quadrature. For analytic kernels its truncation error is about 1e-10 of the first one's; a user's kernel may be less
/// smooth, and is given twice as many, so that the difference is no smaller than the error.
int64_t more_nodes(const ZonalKernel& kernel, int64_t n) { return kernel.family() == ZonalKernel::Family::user ? 2 * n : n + 32; }

/// Digits that cancel in the sum for μ_k: the integrand is of the size of P_k, N(d,k)^{−½} in the mean, while μ_k N falls like k^{−2ν−1}.
/// Measured on the arc-cosine kernels, d = 3 … 64, k = 20 … 500: right to two digits.
double lost_digits(int64_t dim, int64_t k, double nu) {
  return 0.5 * log10_multiplicity(dim, k) + (2 * nu + 1) * std::log10(static_cast<double>(k) + 1);
}

/// A kernel given in double has no more digits than that, whatever the sum is done in.
bool in_double(const ZonalKernel& kernel) { return kernel.family() == ZonalKernel::Family::user && !kernel.user_kernel().decimal_value; }

int64_t digits_to_work_in(const ZonalKernel& kernel, int64_t dim, int64_t k_max, int64_t digits, double nu) {
  const double lost = std::ceil(lost_digits(dim, k_max, nu)) + 6;  // 6: for the rounding of sums and functions, and for k where the formula is low
  if (in_double(kernel)) return decimal_digits<Narrow>;
  for (const int64_t have : {decimal_digits<Narrow>, decimal_digits<Wide>, decimal_digits<Widest>})
    if (static_cast<double>(digits) + lost <= static_cast<double>(have)) return have;
  const double left = decimal_digits<Widest> - lost;
  throw InvalidInput(fmt::format("eigenvalues of the {}: {} digits of μ_{} at d = {} are beyond the working precision: {:.0f} digits cancel in its sum, and the widest "
                                 "arithmetic has {}. Expected {}a smaller k_max or d.", kernel.name(), digits, k_max, dim, lost, decimal_digits<Widest>,
                                 left >= 1 ? fmt::format("at most {:.0f} digits, or ", left) : ""));
}

std::vector<Wide> integrate_in(int64_t working, const ZonalKernel& kernel, int64_t dim, int64_t k_max, int64_t nodes) {
  if (working == decimal_digits<Narrow>) return integrate<Narrow>(kernel, dim, k_max, nodes);
  if (working == decimal_digits<Wide>) return integrate<Wide>(kernel, dim, k_max, nodes);
  return integrate<Widest>(kernel, dim, k_max, nodes);
}

/// The relative error that rounding leaves at least, as a power of ten: two quadratures may agree by chance.
double rounding_of(const ZonalKernel& kernel, int64_t working, int64_t dim, int64_t k, const Wide& mu, double nu) {
  if (!in_double(kernel)) return std::pow(10.0, lost_digits(dim, k, nu) - static_cast<double>(working));
  // Values of κ are off by 2^-53 of κ(1), and the mean of |P_k| is at most N^{−½}.
  return std::pow(10.0, -15.4 + std::log10(std::abs(kernel(1))) - log10_abs(mu) - 0.5 * log10_multiplicity(dim, k));
}

std::vector<double> errors_of(const ZonalKernel& kernel, int64_t working, int64_t dim, const std::vector<Wide>& a, const std::vector<Wide>& b, double nu) {
  std::vector<double> errors;
  for (size_t k = 0; k < b.size(); ++k) {
    if (b[k] == 0) errors.push_back(a[k] == 0 ? 0 : 1);
    else errors.push_back(std::max(std::abs(static_cast<double>(Wide((a[k] - b[k]) / b[k]))), rounding_of(kernel, working, dim, static_cast<int64_t>(k), b[k], nu)));
  }
  return errors;
}

}  // namespace

int64_t node_threshold(int64_t power, int64_t k_max) {
  const auto p = static_cast<double>(power);
  return static_cast<int64_t>(std::ceil(std::pow(1 - 0.5 / p, p - 1) * std::sqrt(2 * p - 1) * static_cast<double>(k_max)));
}

CheckedValues checked_quadrature(const ZonalKernel& kernel, int64_t dim, int64_t k_max, const SpectrumOptions& options, double nu) {
  int64_t working = digits_to_work_in(kernel, dim, k_max, options.digits, nu);
  int64_t n = options.nodes > 0 ? options.nodes : node_threshold(kernel.power(), k_max) + 140 + dim;
  const double wanted = 0.5 * std::pow(10.0, -static_cast<double>(options.digits));
  double before = std::numeric_limits<double>::infinity();
  for (int attempt = 1;; ++attempt) {
    if (n > most_nodes)
      throw InvalidInput(fmt::format("eigenvalues of the {}: k_max = {} is beyond the nodes: it needs {} of them, expected at most {}. Choose a smaller k_max.",
                                     kernel.name(), k_max, n, most_nodes));
    const std::vector<Wide> a = integrate_in(working, kernel, dim, k_max, n), b = integrate_in(working, kernel, dim, k_max, more_nodes(kernel, n));
    CheckedValues values{b, errors_of(kernel, working, dim, a, b, nu), working, more_nodes(kernel, n)};
    const double worst = *std::max_element(values.relative_error.begin(), values.relative_error.end());
    const bool nodes_help = worst <= 0.1 * before, digits_help = !in_double(kernel) && working < decimal_digits<Widest>;
    if (worst <= wanted || options.nodes > 0 || attempt == most_attempts || !(nodes_help || digits_help)) return values;
    if (!nodes_help) working = working == decimal_digits<Narrow> ? decimal_digits<Wide> : decimal_digits<Widest>;
    before = worst;
    n += n / 2;
  }
}

}  // namespace pathkernel
