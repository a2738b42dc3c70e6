#pragma once

#include <pathkernel/machine/matrix.h>

#include <vector>

namespace pathkernel {

/// Kernel ridge regression: f(x) = Σ_i α_i k(x, x_i), α = Qy, Q = (K + λI)⁻¹: the minimum of Σ_i (f(x_i) − y_i)² + λ‖f‖². Theory 5 and 8.
struct KernelRidge {
  double lambda = 0;
  Cholesky factor;       ///< of K + λI
  Tensor alpha;          ///< [n, k]
  Tensor leave_one_out;  ///< f^{−i}(x_i), what the machine fitted without example i says of it: y_i − α_i/Q_ii, [n, k]

  Tensor predict(const Tensor& K_x) const;             ///< [m, k]
  Tensor contributions(const Tensor& K_x) const;       ///< α_i k(x, x_i), [m, n, k]: they add up to predict()
  /// f(x) − f^{−i}(x) = α_i (Qk_x)_i/Q_ii: what really changes when example i is removed, in closed form. [m, n, k]
  Tensor removals(const Tensor& K_x) const;
  /// ∂f(x)/∂ε_i = λα_i (Qk_x)_i when example i has the weight 1 + ε_i in the sum of squares. [m, n, k]
  Tensor weight_derivatives(const Tensor& K_x) const;
};

/// @param K  [n, n]   @param y  [n] or [n, k]   @param lambda  ≥ 0, in the units of K's diagonal
/// @throws InvalidInput also when K + λI is singular: λ = 0 wants a K of full rank. 2 matrices of memory, n³ operations.
KernelRidge fit_ridge(const Tensor& K, const Tensor& y, double lambda, const MachineOptions& options = {});

/// The same machine at many λ from one eigendecomposition K = U diag(s) Uᵀ.
struct RidgePath {
  std::vector<double> lambdas;
  Tensor alpha;          ///< [λ, n, k]
  Tensor leave_one_out;  ///< [λ, n, k]
  Tensor error;          ///< mean square of y − leave_one_out, [λ]
  int64_t best = 0;      ///< where it is smallest
};

/// @throws InvalidInput as fit_ridge, for each λ. 3 matrices of memory, about 9n³ operations once and 2n²k for each λ.
RidgePath ridge_path(const Tensor& K, const Tensor& y, const std::vector<double>& lambdas, const MachineOptions& options = {});

}  // namespace pathkernel
