#pragma once

#include <pathkernel/kernel/duals/dual.h>
#include <pathkernel/kernel/kernel.h>

#include <functional>
#include <optional>

namespace pathkernel {

/// Random features: K(x, y) ≈ Φ(x)Φ(y)ᵀ with Φ(x) = ψ(xWᵀ + b)/√M for M random directions W. Unbiased; the error falls as 1/√M and is known:
/// every entry comes with its standard error. Directions are drawn once, so all matrices of one object belong together (and are positive
/// semi-definite).
class RandomFeatures {
 public:
  /// An estimate of a Gram matrix, with the standard error of every entry: √(variance over the M directions / M).
  struct Estimate { Tensor gram, standard_error; };

  /// Φ(x), [n, features()]; x is [n, ...] of d numbers per example.
  Tensor operator()(const Tensor& x) const;
  Estimate gram(const Tensor& x, const Tensor& y) const;
  /// Exactly symmetric.
  Estimate gram(const Tensor& x) const;

  int64_t features() const { return directions_.size(0) * per_direction_; }

  /// k_n(x, y) = 2E[1(u > 0, v > 0) uⁿvⁿ] = (‖x‖‖y‖)ⁿ J_n(θ)/π, u = w·x, w ~ N(0, I): arc-cosine kernels of order n = 0, 1, 2.
  static RandomFeatures arc_cosine(int64_t order, int64_t inputs, int64_t directions, uint64_t seed = 0);
  /// E φ(u)φ(v), u = (W_std/√d)w·x + b_std·b: the dual of any activation on the covariance of a first dense layer.
  static RandomFeatures gaussian(DualPtr phi, int64_t inputs, int64_t directions, double W_std = 1, std::optional<double> b_std = {},
                                 uint64_t seed = 0);
  /// Random Fourier features (Rahimi and Recht 2007): E cos(w·(x − y)), cos and sin for every w. Frequencies of rbf: N(0, 1/ℓ²); of Matérn ν:
  /// those divided by √(χ²_{2ν}/2ν). `nu` empty means rbf; laplace is ν = ½.
  static RandomFeatures fourier(const Tensor& lengthscale, int64_t inputs, int64_t directions, std::optional<double> nu = {}, uint64_t seed = 0);

 private:
  /// ψ of w·x + b; and with `squares`, of products p = ψψ' summed over one direction: another map whose product is p².
  using Map = std::function<Tensor(const Tensor&)>;
  RandomFeatures(Tensor directions, Tensor offsets, Map map, Map squares, int64_t per_direction)
      : directions_(std::move(directions)), offsets_(std::move(offsets)), map_(std::move(map)), squares_(std::move(squares)),
          per_direction_(per_direction) {}
  Tensor project(const Tensor& x) const;
  Estimate estimate(const Tensor& x, const Tensor& y) const;

  Tensor directions_;  ///< [M, d]
  Tensor offsets_;     ///< [M] or undefined
  Map map_, squares_;
  int64_t per_direction_ = 1;
};

}  // namespace pathkernel
