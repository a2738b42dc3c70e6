#include <pathkernel/core/error.h>
#include <pathkernel/kernel/duals/dual.h>
#include <pathkernel/kernel/specification.h>

#include <ATen/ops/zeros_like.h>
#include <fmt/format.h>

#include <cmath>

namespace pathkernel {
namespace {

/// F = Σ_n β_n(a)β_n(b)cⁿ for φ = Σ p_k x^k, with β_n(a) = Σ_{k ≥ n, k ≡ n (2)} p_k·k!/(2^j j! √n!)·a^j, j = (k − n)/2: φ(√a z) in Hermite
/// polynomials, with the powers of √a taken out. For xⁿ this is theory 6's sum.
class Polynomial : public DualActivation {
 public:
  Polynomial(std::vector<double> p, std::string text) : p_(std::move(p)), text_(std::move(text)) {
    for (size_t k = 1; k < p_.size(); ++k) slope_.push_back(static_cast<double>(k) * p_[k]);
  }

  Dual dual(const Tensor& a, const Tensor& b, const Tensor& c, bool derivative) const override {
    Dual result;
    result.F = product(p_, a, b, c);
    if (derivative) result.F_dot = product(slope_, a, b, c);
    return result;
  }
  Tensor apply(const Tensor& x) const override {
    Tensor sum = at::zeros_like(x);
    for (size_t k = p_.size(); k-- > 0;) sum = sum * x + p_[k];
    return sum;
  }
  std::string specification() const override { return text_; }

 private:
  static Tensor beta(const std::vector<double>& p, size_t n, const Tensor& a) {
    Tensor sum = at::zeros_like(a);
    for (size_t k = p.size() - 1 - (p.size() - 1 - n) % 2;; k -= 2) {  // Horner in a, from the highest power down to k = n
      sum = sum * a + p[k] * weight(k, n);
      if (k == n) return sum;
    }
  }
  /// k!/(2^j j! √n!), j = (k − n)/2
  static double weight(size_t k, size_t n) {
    long double value = 1;
    for (size_t i = (k - n) / 2 + 1; i <= k; ++i) value *= static_cast<long double>(i);
    for (size_t i = 1; i <= n; ++i) value /= std::sqrt(static_cast<long double>(i));
    return static_cast<double>(std::ldexp(value, -static_cast<int>((k - n) / 2)));
  }
  static Tensor product(const std::vector<double>& p, const Tensor& a, const Tensor& b, const Tensor& c) {
    Tensor sum = at::zeros_like(c);
    for (size_t n = p.size(); n-- > 0;) sum = sum * c + beta(p, n, a) * beta(p, n, b);
    return sum;
  }

  std::vector<double> p_, slope_;
  std::string text_;
};

std::string written(const char* name, const std::vector<double>& coefficients) {
  std::string text = name;
  for (size_t k = 0; k < coefficients.size(); ++k) text += (k == 0 ? ":" : ",") + print_number(coefficients[k]);
  return text;
}

constexpr size_t most = 64;  // beyond this degree the sums cancel

void check_degree(size_t degree, const char* name) {
  if (degree > most) throw InvalidInput(fmt::format("activation {}: degree {} is above {}, where double precision no longer carries the sum", name,
                                                    degree, most));
}

}  // namespace

DualPtr polynomial(std::vector<double> coefficients) {
  if (coefficients.empty()) throw InvalidInput("activation polynomial: give its coefficients, the lowest power first, e.g. polynomial:0,1,0.5");
  check_degree(coefficients.size() - 1, "polynomial");
  std::string text = written("polynomial", coefficients);
  return std::make_shared<Polynomial>(std::move(coefficients), std::move(text));
}

DualPtr monomial(int64_t degree) {
  if (degree < 0) throw InvalidInput(fmt::format("activation monomial: degree is {}, but it must be zero or more", degree));
  check_degree(static_cast<size_t>(degree), "monomial");
  std::vector<double> p(static_cast<size_t>(degree) + 1, 0.0);
  p.back() = 1;
  return std::make_shared<Polynomial>(std::move(p), fmt::format("monomial:{}", degree));
}

DualPtr hermite(std::vector<double> coefficients) {
  if (coefficients.empty()) throw InvalidInput("activation hermite: give the coefficients of h_0, h_1, …, e.g. hermite:0,1,0.5");
  check_degree(coefficients.size() - 1, "hermite");
  std::vector<double> powers(coefficients.size(), 0.0), previous, current = {1.0};  // He_0, then He_{n+1} = x He_n − n He_{n−1}
  double root_factorial = 1;
  for (size_t n = 0; n < coefficients.size(); ++n) {
    for (size_t k = 0; k < current.size(); ++k) powers[k] += coefficients[n] * current[k] / root_factorial;
    std::vector<double> next(current.size() + 1, 0.0);
    for (size_t k = 0; k < current.size(); ++k) next[k + 1] += current[k];
    for (size_t k = 0; k < previous.size(); ++k) next[k] -= static_cast<double>(n) * previous[k];
    previous = std::exchange(current, std::move(next));
    root_factorial *= std::sqrt(static_cast<double>(n) + 1);
  }
  return std::make_shared<Polynomial>(std::move(powers), written("hermite", coefficients));
}

}  // namespace pathkernel
