#include <pathkernel/core/error.h>
#include <pathkernel/kernel/duals/dual.h>

#include <ATen/ops/empty.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/softplus.h>
#include <ATen/ops/tanh.h>
#include <ATen/ops/tensor.h>
#include <fmt/format.h>

#include <cmath>
#include <numbers>

namespace pathkernel {
namespace {

using std::numbers::pi;

/// n-point Gauss–Legendre rule on [−1, 1], by Newton's method on P_n.
void gauss_legendre(int n, std::vector<double>& nodes, std::vector<double>& weights) {
  for (int k = 0; k < n; ++k) {
    double x = std::cos(pi * (k + 0.75) / (n + 0.5)), slope = 1;
    for (int iteration = 0; iteration < 100; ++iteration) {
      double p = 1, previous = 0;
      for (int j = 1; j <= n; ++j) previous = std::exchange(p, ((2 * j - 1) * x * p - (j - 1) * previous) / j);
      slope = n * (x * p - previous) / (x * x - 1);
      const double step = p / slope;
      x -= step;
      if (std::abs(step) < 1e-16) break;
    }
    nodes.push_back(x);
    weights.push_back(2 / ((1 - x * x) * slope * slope));
  }
}

/// Nodes z [q] on [−13, 13], 12 on every half unit (0 is the end of one), weights of the standard normal density [q], and
/// basis[q, n] = weight·h_n(z).
struct Basis {
  Tensor z, density, hermite;
  explicit Basis(int64_t terms) {
    std::vector<double> x, w, nodes, weights;
    gauss_legendre(12, x, w);
    for (int panel = -26; panel < 26; ++panel)
      for (size_t k = 0; k < x.size(); ++k) {
        nodes.push_back(0.5 * panel + 0.25 * (x[k] + 1));
        weights.push_back(0.25 * w[k] * std::exp(-nodes.back() * nodes.back() / 2) / std::sqrt(2 * pi));
      }
    z = at::tensor(nodes, at::kDouble);
    density = at::tensor(weights, at::kDouble);
    hermite = at::empty({z.size(0), terms}, at::kDouble);
    double* to = hermite.mutable_data_ptr<double>();
    for (size_t q = 0; q < nodes.size(); ++q) {
      double value = weights[q], previous = 0;  // the weight taken along keeps large orders from overflowing
      for (int64_t n = 0; n < terms; ++n) {
        *to++ = value;
        const double order = static_cast<double>(n);
        previous = std::exchange(value, (nodes[q] * value - std::sqrt(order) * previous) / std::sqrt(order + 1));
      }
    }
  }
};

class ByQuadrature : public DualActivation {
 public:
  using Function = std::function<Tensor(const Tensor&)>;
  ByQuadrature(std::string name, Function phi, Function phi_dot, const QuadratureOptions& options)
      : name_(std::move(name)), phi_(std::move(phi)), phi_dot_(std::move(phi_dot)), options_(options), basis_(options.terms) {}

  Dual dual(const Tensor& a, const Tensor& b, const Tensor& c, bool derivative) const override {
    const Tensor scale = (a * b).sqrt(), zero = scale == 0;
    const Tensor rho = (c / scale.masked_fill(zero, 1)).masked_fill(zero, 0).clamp(-1, 1);
    Dual result;
    result.F = series(phi_, a, b, rho, "F");
    if (derivative) result.F_dot = series(phi_dot_, a, b, rho, "Ḟ");
    return result;
  }
  Tensor apply(const Tensor& x) const override { return phi_(x); }
  std::string specification() const override { return name_; }

 private:
  /// α_n(a) [..., terms], E φ² [...], and the share of it that the first 1, 2, … terms leave, [..., terms].
  struct Expansion { Tensor alpha, energy, rest; };

  Expansion expand(const Function& phi, const Tensor& a) const {
    const Tensor values = phi(a.to(at::kDouble).sqrt().unsqueeze(-1) * basis_.z);
    const Tensor alpha = at::matmul(values, basis_.hermite);
    const Tensor energy = at::matmul(values.detach().square(), basis_.density);
    const Tensor left = (energy.unsqueeze(-1) - alpha.detach().square().cumsum(-1)).clamp_min(0);
    return {alpha, energy, left / energy.masked_fill(energy == 0, 1).unsqueeze(-1)};
  }

  /// Fewest terms whose rest is lost in rounding; all of them where none suffices.
  int64_t terms_needed(const Tensor& rest, const char* what) const {
    const Tensor worst = rest.reshape({-1, options_.terms}).amax(0);
    const double* w = worst.const_data_ptr<double>();
    for (int64_t n = 1; n <= options_.terms; ++n)
      if (w[n - 1] < 1e-15) return n;
    if (const double left = w[options_.terms - 1]; left > options_.tolerance)
      throw InvalidInput(fmt::format("activation {}: {} is known to {:.1e} of its largest value with {} terms, but {:.0e} is asked for; allow more "
                                     "terms or a larger tolerance, or shrink the weights (the variances at this layer reach the function's kinks or "
                                     "poles)",
                                     name_, what, left, options_.terms, options_.tolerance));
    return options_.terms;
  }

  Tensor series(const Function& phi, const Tensor& a, const Tensor& b, const Tensor& rho, const char* what) const {
    const Expansion x = expand(phi, a), y = a.is_same(b) ? x : expand(phi, b);
    const int64_t terms = std::max(terms_needed(x.rest, what), terms_needed(y.rest, what));
    const auto coefficient = [&](const Tensor& t, int64_t n) { return t.select(-1, n).to(rho.scalar_type()); };
    // What is left of both energies, √(rest_a·rest_b), as one more power of ρ: makes u = v exact.
    const auto left = [&](const Expansion& e) { return (e.energy * e.rest.select(-1, terms - 1)).sqrt().to(rho.scalar_type()); };
    Tensor sum = left(x) * left(y) * rho;
    for (int64_t n = terms - 1; n >= 0; --n) {
      sum = sum + coefficient(x.alpha, n) * coefficient(y.alpha, n);
      if (n > 0) sum = sum * rho;
    }
    return sum;
  }

  std::string name_;
  Function phi_, phi_dot_;
  QuadratureOptions options_;
  Basis basis_;
};

}  // namespace

DualPtr by_quadrature(std::string name, std::function<Tensor(const Tensor&)> phi, std::function<Tensor(const Tensor&)> phi_dot,
                      const QuadratureOptions& options) {
  if (options.terms < 1 || options.terms > 1024 || !(options.tolerance > 0))
    throw InvalidInput(fmt::format("activation {}: terms is {} and tolerance {}; expected 1 to 1024 and a tolerance above zero", name, options.terms,
                                   options.tolerance));
  return std::make_shared<ByQuadrature>(std::move(name), std::move(phi), std::move(phi_dot), options);
}

DualPtr tanh_activation() {
  static const DualPtr shared = by_quadrature("tanh", [](const Tensor& x) { return at::tanh(x); },
                                              [](const Tensor& x) { return 1 - at::tanh(x).square(); });
  return shared;
}

DualPtr sigmoid_activation() {
  static const DualPtr shared = by_quadrature("sigmoid", [](const Tensor& x) { return at::sigmoid(x); }, [](const Tensor& x) {
    const Tensor p = at::sigmoid(x);
    return p * (1 - p);
  });
  return shared;
}

DualPtr silu() {
  static const DualPtr shared = by_quadrature("silu", [](const Tensor& x) { return at::silu(x); }, [](const Tensor& x) {
    const Tensor p = at::sigmoid(x);
    return p * (1 + x * (1 - p));
  });
  return shared;
}

DualPtr softplus() {
  static const DualPtr shared = by_quadrature("softplus", [](const Tensor& x) { return at::softplus(x, 1, 40); },
                                              [](const Tensor& x) { return at::sigmoid(x); });
  return shared;
}

}  // namespace pathkernel
