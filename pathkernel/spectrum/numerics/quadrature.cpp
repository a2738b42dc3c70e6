#include <pathkernel/spectrum/numerics/quadrature.h>

#include <pathkernel/core/error.h>
#include <pathkernel/spectrum/numerics/kernel_value.h>

#include <fmt/format.h>

#include <cmath>
#include <map>
#include <memory>
#include <mutex>

namespace pathkernel {
namespace {

/// The nodes x ≥ 0 of n-point Gauss–Legendre quadrature on [−1, 1], largest first, with their weights; the others mirror them.
template <class Real>
struct GaussLegendre {
  std::vector<Real> x, w;
};

/// P_n(x), P_{n−1}(x);  P_k = x P_{k−1} + c_k (x P_{k−1} − P_{k−2}), c_k = (k−1)/k.
template <class Real>
std::pair<Real, Real> legendre(const Real& x, const std::vector<Real>& c) {
  Real before = 1, p = x;
  for (size_t k = 2; k < c.size(); ++k) {
    const Real xp = x * p;
    Real next = xp + c[k] * (xp - before);
    before = std::move(p);
    p = std::move(next);
  }
  return {p, before};
}

/// The i-th largest zero of P_n: Tricomi's approximation, then Newton's method in double.
double rough_node(int64_t n, int64_t i, const std::vector<double>& c) {
  const double m = static_cast<double>(n);
  double x = (1 - (m - 1) / (8 * m * m * m)) * std::cos(M_PI * (4 * static_cast<double>(i) + 3) / (4 * m + 2));
  for (int repeat = 0; repeat < 4; ++repeat) {
    const auto [p, before] = legendre(x, c);
    x -= p * (x * x - 1) / (m * (x * p - before));
  }
  return x;
}

/// One step of third order towards the zero, with P'' from Legendre's equation (1−x²)P'' = 2xP' − n(n+1)P; the weight
/// 2/((1−x²)P'²) at the new x by Taylor's formula, exact to the cube of the step.
template <class Real>
struct Node {
  Real x, w, step;
};
template <class Real>
Node<Real> improve(const Real& x, int64_t n, const std::vector<Real>& c) {
  const auto [p, before] = legendre(x, c);
  const Real one_minus = 1 - x * x, whole = Real(n) * (n + 1);
  const Real d1 = n * (before - x * p) / one_minus;
  const Real d2 = (2 * x * d1 - whole * p) / one_minus;
  const Real d3 = (4 * x * d2 + (2 - whole) * d1) / one_minus;
  const Real y = p / d1, h = -y - y * y * d2 / (2 * d1);
  const Real moved = x + h, slope = d1 + h * (d2 + h * d3 / 2);
  return {moved, 2 / ((1 - moved * moved) * slope * slope), h};
}

template <class Real>
GaussLegendre<Real> gauss_legendre(int64_t n) {
  std::vector<Real> c(static_cast<size_t>(n) + 1);
  std::vector<double> rough(c.size());
  for (int64_t k = 2; k <= n; ++k) {
    c[k] = Real(k - 1) / k;
    rough[k] = static_cast<double>(k - 1) / static_cast<double>(k);
  }
  // The step's error is about n² times its cube; one more is taken until that is below the rounding.
  const Real small = pow(Real(10), -decimal_digits<Real> / 3 - 6);
  GaussLegendre<Real> rule;
  for (int64_t i = 0; i < (n + 1) / 2; ++i) {
    Node<Real> node{n % 2 == 1 && i == n / 2 ? Real(0) : Real(rough_node(n, i, rough)), 0, 1};
    do node = improve(node.x, n, c);
    while (abs(node.step) > small);
    rule.x.push_back(node.x);
    rule.w.push_back(node.w);
  }
  return rule;
}

/// Comparisons of kernels use the same nodes again and again.
template <class Real>
std::shared_ptr<const GaussLegendre<Real>> nodes(int64_t n) {
  static std::mutex mutex;
  static std::map<int64_t, std::shared_ptr<const GaussLegendre<Real>>> known;
  const std::lock_guard lock(mutex);
  if (known.size() > 16) known.clear();
  auto& rule = known[n];
  if (!rule) rule = std::make_shared<GaussLegendre<Real>>(gauss_legendre<Real>(n));
  return rule;
}

template <class Real>
Real kernel_at(const ZonalKernel& kernel, const Real& theta, const Real& u) {
  if (kernel.family() != ZonalKernel::Family::user) return value_at_angle(kernel, theta);
  const UserKernel& user = kernel.user_kernel();
  if (!user.decimal_value) {
    const double value = user.value(static_cast<double>(u));
    if (!std::isfinite(value)) throw InvalidInput(fmt::format("kernel '{}' gave {} at u = {}: expected a finite number", user.name, value, static_cast<double>(u)));
    return value;
  }
  const int digits = decimal_digits<Real>;
  const std::string text = user.decimal_value(u.str(digits + 3, std::ios_base::scientific), digits);
  try {
    return Real(text);
  } catch (const std::runtime_error&) {
    throw InvalidInput(fmt::format("kernel '{}' gave '{}' at u = {}: expected a decimal number", user.name, text, static_cast<double>(u)));
  }
}

/// Adds even·P_k(u) to the even μ_k and odd·P_k(u) to the odd ones.
template <class Real>
void add_node(std::vector<Real>& mu, const Real& u, const Real& even, const Real& odd, const std::vector<Real>& b) {
  Real before = 1, p = u;
  mu[0] += even;
  if (mu.size() > 1) mu[1] += odd * u;
  for (size_t k = 2; k < mu.size(); ++k) {
    const Real up = u * p;
    Real next = up + b[k] * (up - before);
    before = std::move(p);
    p = std::move(next);
    mu[k] += (k % 2 == 0 ? even : odd) * p;
  }
}

}  // namespace

template <class Real>
std::vector<Wide> integrate(const ZonalKernel& kernel, int64_t dim, int64_t k_max, int64_t n) {
  const Real pi = Numbers<Real>::pi();
  const auto rule = nodes<Real>(n);
  const int64_t power = kernel.power();
  std::vector<Real> b(static_cast<size_t>(k_max) + 1), mu(b.size(), Real(0));
  for (int64_t k = 2; k <= k_max; ++k) b[k] = Real(k - 1) / (k + dim - 3);

  // Weight, Jacobian and sin^{d−2}θ together, at s = (1 ± x)/2.
  const auto integrand = [&](const Real& s, const Real& w, Real& u) {
    const Real theta = pi * pow(s, static_cast<int>(power));
    u = cos(theta);
    return Real(w / 2 * pi * power * pow(s, static_cast<int>(power - 1)) * pow(Real(sin(theta)), static_cast<int>(dim - 2)) * kernel_at(kernel, theta, u));
  };
  for (size_t i = 0; i < rule->x.size(); ++i) {
    const Real& x = rule->x[i];
    const bool middle = n % 2 == 1 && i + 1 == rule->x.size();
    Real u_low, u_high;
    const Real low = integrand((1 - x) / 2, rule->w[i], u_low), high = middle ? Real(0) : integrand((1 + x) / 2, rule->w[i], u_high);
    if (power == 1) {  // u_high = −u_low, P_k(−u) = (−1)^k P_k(u): both in one pass
      add_node<Real>(mu, u_low, low + high, low - high, b);
    } else {
      add_node(mu, u_low, low, low, b);
      if (!middle) add_node(mu, u_high, high, high, b);
    }
  }
  const Wide constant = gamma_of_half(dim) / (sqrt(Numbers<Wide>::pi()) * gamma_of_half(dim - 1));
  std::vector<Wide> result;
  for (const Real& m : mu) result.push_back(constant * Wide(m));
  return result;
}

template std::vector<Wide> integrate<Narrow>(const ZonalKernel&, int64_t, int64_t, int64_t);
template std::vector<Wide> integrate<Wide>(const ZonalKernel&, int64_t, int64_t, int64_t);
template std::vector<Wide> integrate<Widest>(const ZonalKernel&, int64_t, int64_t, int64_t);

}  // namespace pathkernel
