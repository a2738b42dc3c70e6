#pragma once

#include <pathkernel/core/tensors.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace pathkernel {

/// F = E φ(u)φ(v) and Ḟ = E φ̇(u)φ̇(v).
struct Dual {
  Tensor F, F_dot;  ///< F_dot undefined where it was not asked for
};

/// An elementwise function φ with its dual: for (u, v) ~ N(0, [[a, c], [c, b]]), F and Ḟ as functions of (a, b, c) (theory 6, table).
class DualActivation {
 public:
  virtual ~DualActivation() = default;

  /// @param a, b  variances   @param c  covariances; shapes broadcast. Where a, b and c are the same numbers the result is exact to
  ///   rounding: the angle between u and v is exactly zero there.
  /// @param derivative  whether Ḟ is wanted
  /// @throws InvalidInput when the asked accuracy cannot be had (functions by quadrature)
  virtual Dual dual(const Tensor& a, const Tensor& b, const Tensor& c, bool derivative) const = 0;
  /// φ itself.
  virtual Tensor apply(const Tensor& x) const = 0;
  /// False where Ḟ is infinite at u = v (φ jumps): such a network's tangent kernel has no diagonal.
  virtual bool has_tangent_diagonal() const { return true; }
  /// As it is written in a list of layers: "leaky:0.1".
  virtual std::string specification() const = 0;
};

using DualPtr = std::shared_ptr<const DualActivation>;

/// below·min(x, 0) + above·max(x, 0).
DualPtr ab_relu(double below, double above);
DualPtr relu();
DualPtr leaky_relu(double alpha);  ///< slope alpha for x < 0
DualPtr absolute_value();
DualPtr erf_activation(double a = 1, double b = 1, double c = 0);  ///< a·erf(bx) + c
DualPtr gelu();                                                    ///< xΦ(x)
DualPtr sine(double a = 1, double b = 1, double c = 0);            ///< a·sin(bx + c)
DualPtr cosine(double a = 1, double b = 1, double c = 0);          ///< a·cos(bx + c)
DualPtr exponential(double a = 1, double b = 1);                   ///< a·e^{bx}
DualPtr gaussian(double a = 1, double b = -0.5);                   ///< a·e^{bx²}, b < 0
/// Of a function that jumps: Dirac's δ, so that Ḟ is infinite at u = v; or flat, zero as autograd has it, so that a finite network's tangent kernel
/// converges to this one: nothing before the jump is trained.
enum class SlopeAtJump { delta, flat };
DualPtr sign_activation(SlopeAtJump slope = SlopeAtJump::delta);
DualPtr step_activation(SlopeAtJump slope = SlopeAtJump::delta);   ///< 1 for x > 0, else 0
/// x₊ⁿ for n = 0, 1, 2: arc-cosine kernels (Cho and Saul 2009).
DualPtr rectified_monomial(int64_t degree);
DualPtr monomial(int64_t degree);
DualPtr polynomial(std::vector<double> coefficients);              ///< Σ_k p_k x^k, the lowest power first
/// Σ_n a_n h_n(x), h_n = He_n/√n!; at unit variance F(ρ) = Σ a_n² ρⁿ (theory 7).
DualPtr hermite(std::vector<double> coefficients);

struct QuadratureOptions {
  /// Largest error of F and Ḟ, relative to E φ² and E φ̇² of the widest u; what cannot reach it is refused.
  double tolerance = 1e-10;
  int64_t terms = 256;  ///< of the expansion in Hermite polynomials, at most
};
/// Any function, by quadrature of its Hermite coefficients: α_n(a) = E φ(√a z)h_n(z), F = Σ α_n(a)α_n(b)ρⁿ (Mehler). The number of terms
/// follows from the rest of Parseval's sum E φ² = Σ α_n², which bounds the error, and which is added as one last term: F is exact at u = v.
/// Functions analytic near the real axis reach 1e-12; a kink converges as terms^{−3/2} only (at u = 0; elsewhere the quadrature suffers too).
/// @param name  for messages and specifications   @param phi, phi_dot  elementwise, of differentiable operations
DualPtr by_quadrature(std::string name, std::function<Tensor(const Tensor&)> phi, std::function<Tensor(const Tensor&)> phi_dot,
                      const QuadratureOptions& options = {});
/// The same of a function that a program brings itself. A file cannot hold it: its text, "function:3,name", is read back in this program alone, while it is in use.
DualPtr own_function(const std::string& name, std::function<Tensor(const Tensor&)> phi, std::function<Tensor(const Tensor&)> phi_dot, const QuadratureOptions& options = {});
/// The one of this number.  @throws InvalidInput where it is not in use
DualPtr own_function(int64_t number);
/// Whether a kernel's or network's text is one that only this program can read.
bool names_own_function(const std::string& specification);
DualPtr tanh_activation();
DualPtr sigmoid_activation();
DualPtr silu();
DualPtr softplus();

}  // namespace pathkernel
