#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace pathkernel {

/// One term c·t^ν of a kernel beside an end of [−1, 1], t = 1 − u or t = 1 + u. Terms with whole ν are a polynomial in u: they
/// reach no eigenvalue beyond k = ν, and are left out.
struct ExpansionTerm {
  double nu = 0;
  double c = 0;
};

/// A kernel of the user's own.
struct UserKernel {
  std::string name;
  /// κ(u) in double: the eigenvalues' relative errors are then at best 1e-16 κ(1)/μ_k.
  std::function<double(double u)> value;
  /// κ(u) for u as a decimal number, to the digits asked for, as a decimal number: for as many correct digits as wanted (say, from
  /// mpmath). Where it is given, `value` is only used for drawing.
  std::function<std::string(const std::string& u, int digits)> decimal_value;
  /// κ is analytic in s on [0, 1], θ = π s^power. 1: in the angle itself, which dot-product kernels of smooth and of ReLU networks are.
  int64_t power = 1;
  /// What is known of κ(1 − t) and κ(−1 + t), smallest ν first; empty: there is no prediction of the decay.
  std::vector<ExpansionTerm> at_plus_one, at_minus_one;
};

/// A kernel on the sphere S^{d−1} that depends on the angle alone: k(x, x') = κ(u), u = ⟨x, x'⟩ = cos θ (theory 6, 7).
class ZonalKernel {
 public:
  enum class Family { arc_cosine, ntk, nngp, step, laplace, gaussian, user };

  /// κ_n = J_n/J_n(1) of order n = 0, 1 or 2 (Cho and Saul 2009): π − θ; sin θ + (π−θ) cos θ; 3 sin θ cos θ + (π−θ)(1 + 2cos²θ).
  static ZonalKernel arc_cosine(int64_t order);
  /// ReLU tangent kernel of L weight layers without biases: N^ℓ = N^{ℓ−1} κ₀(κ^{ℓ−1}) + κ^ℓ, κ^ℓ = κ₁(κ^{ℓ−1}), κ¹ = N¹ = u; N^L(1) = L.
  static ZonalKernel ntk(int64_t depth);
  /// κ^L of the line above: the ReLU network as a Gaussian process.
  static ZonalKernel nngp(int64_t depth);
  /// Deep kernel of step activations: κ^ℓ = κ₀(κ^{ℓ−1}), κ¹ = u. Depth 2 is the arc-cosine kernel of order 0.
  static ZonalKernel step(int64_t depth);
  /// exp(−c ‖x − x'‖) = exp(−2c sin(θ/2)).  @param scale  c, as a decimal number: "0.1" is then 0.1 to every digit asked for
  static ZonalKernel laplace(const std::string& scale = "1");
  /// exp(−c ‖x − x'‖²) = exp(−2c (1 − u)).
  static ZonalKernel gaussian(const std::string& scale = "1");
  static ZonalKernel user(UserKernel kernel);
  /// A kernel given on pairs of points. It is tried on pairs of equal angle in several directions of the sphere.
  /// @throws InvalidInput when it is not zonal, with two pairs of points that show it.
  static ZonalKernel from_points(const std::string& name, std::function<double(const std::vector<double>& x, const std::vector<double>& y)> kernel, int64_t dim);

  Family family() const { return family_; }
  int64_t depth() const { return depth_; }  ///< weight layers; for the arc-cosine kernel its order
  const std::string& scale() const { return scale_; }
  const UserKernel& user_kernel() const { return user_; }
  /// p of the substitution θ = π s^p that makes the kernel analytic on s in [0, 1]: 2^{L−2} for the deep step kernel, else 1.
  int64_t power() const;
  /// "NTK of depth 3", "exp(-2 |x-x'|)"
  std::string name() const;
  /// κ(u) in double.
  double operator()(double u) const;

 private:
  ZonalKernel(Family family, int64_t depth, std::string scale) : family_(family), depth_(depth), scale_(std::move(scale)) {}
  Family family_;
  int64_t depth_ = 0;
  std::string scale_ = "1";
  UserKernel user_;
};

}  // namespace pathkernel
