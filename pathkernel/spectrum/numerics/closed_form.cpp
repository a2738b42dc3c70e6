#include <pathkernel/spectrum/numerics/closed_form.h>

namespace pathkernel {
namespace {

using Family = ZonalKernel::Family;

std::vector<Wide> arc_cosine(int64_t alpha, int64_t d, int64_t k_max) {
  const Wide root_pi = sqrt(Numbers<Wide>::pi()), mean_square = gamma_of_half(d) * gamma_of_half(2 * alpha + 1) / (2 * root_pi * gamma_of_half(2 * alpha + d));
  const auto first = [&](int64_t k) -> Wide {  // k = 0 and 1; for α = 0 and k = 1 the argument of Γ is ½ as well
    return gamma_of_half(d) * gamma_of_half(2 * alpha + 2) * pow(Wide(2), static_cast<int>(-alpha - 1)) /
           (gamma_of_half(2 + alpha - k) * gamma_of_half(alpha + k + d));
  };
  std::vector<Wide> lambda{first(0), first(1)}, mu;
  for (int64_t k = 0; k <= k_max; ++k) {
    mu.push_back(lambda[k] * lambda[k] / mean_square);
    lambda.push_back(lambda[k] * (alpha - k) / (alpha + k + d));
  }
  return mu;
}

std::vector<Wide> shallow_tangent(int64_t d, int64_t k_max) {
  const std::vector<Wide> step = arc_cosine(0, d, k_max + 1);
  std::vector<Wide> mu = arc_cosine(1, d, k_max);
  for (int64_t k = 0; k <= k_max; ++k) mu[k] += ((k > 0 ? k * step[k - 1] : Wide(0)) + (k + d - 2) * step[k + 1]) / (2 * k + d - 2);
  return mu;
}

/// Γ(d/2) (2/z)^{d/2−1} I_{k+d/2−1}(z) = (z/2)^k Γ(d/2)/Γ(k+d/2) Σ_m (z²/4)^m / (m! (k+d/2)_m).
std::vector<Wide> gaussian(const Wide& c, int64_t d, int64_t k_max) {
  const Wide z = 2 * c, quarter = z * z / 4, half_d = Wide(d) / 2;
  Wide front = exp(-z);
  std::vector<Wide> mu;
  for (int64_t k = 0; k <= k_max; ++k) {
    Wide term = 1, sum = 1;
    for (int64_t m = 1; term > sum * std::numeric_limits<Wide>::epsilon(); ++m) {
      term *= quarter / (m * (k + half_d + (m - 1)));
      sum += term;
    }
    mu.push_back(front * sum);
    front *= z / 2 / (k + half_d);
  }
  return mu;
}

}  // namespace

Wide gamma_of_half(int64_t n) {
  Wide value = n % 2 == 0 ? Wide(1) : sqrt(Numbers<Wide>::pi());
  for (int64_t m = n - 2; m > 0; m -= 2) value *= Wide(m) / 2;
  return value;
}

bool has_closed_form(const ZonalKernel& kernel) {
  const Family f = kernel.family();
  return f == Family::arc_cosine || f == Family::gaussian || ((f == Family::ntk || f == Family::nngp || f == Family::step) && kernel.depth() == 2);
}

std::vector<Wide> closed_form(const ZonalKernel& kernel, int64_t dim, int64_t k_max) {
  switch (kernel.family()) {
    case Family::gaussian: return gaussian(Wide(kernel.scale()), dim, k_max);
    case Family::ntk: return shallow_tangent(dim, k_max);
    case Family::nngp: return arc_cosine(1, dim, k_max);
    case Family::step: return arc_cosine(0, dim, k_max);
    default: return arc_cosine(kernel.depth(), dim, k_max);
  }
}

}  // namespace pathkernel
