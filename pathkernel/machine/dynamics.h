#pragma once

#include <pathkernel/machine/matrix.h>

#include <cstdint>
#include <limits>

namespace pathkernel {

/// How long, and by which rule, a linearised network was trained by full batches on ½Σr² (for a mean over n examples divide the rate by n).
struct TrainingTime {
  double flow = std::numeric_limits<double>::infinity();  ///< t of gradient flow ẇ = −∇L; counts when rate is 0
  double rate = 0;      ///< η of b ← μb + ∇L, w ← w − ηb (torch.optim.SGD)
  double momentum = 0;  ///< μ
  int64_t steps = 0;

  static TrainingTime flow_for(double t) { return {.flow = t}; }
  static TrainingTime descent(double rate, int64_t steps, double momentum = 0) { return {.rate = rate, .momentum = momentum, .steps = steps}; }
};

/// Training in closed form of a network that is linear in its weights, or infinitely wide (theory 8): with K = JJᵀ the tangent kernel at the beginning,
///     f_t(x) = f_0(x) + K_x α_t,   α_t = U g_t(λ) Uᵀ(y − f_0),   K = U diag(λ) Uᵀ
///     flow g = (1 − e^{−λt})/λ,  descent (1 − (1 − ηλ)^t)/λ,  momentum the second component of the affine map (b, g) ↦ (μb + λg − 1, g − η(μb + λg − 1)) t times
/// and g = t or ηt at λ = 0 without momentum. α_t,i k(x, x_i) is exactly what example i contributed along the path. t = ∞ is the machine without ridge: the
/// solution of smallest norm (eigenvalues that rounding leaves of a zero count as zero).
class TrainingDynamics {
 public:
  /// @param K  [n, n]   @param change  y − f_0(x_i), [n] or [n, k]: keep f_0, or subtract it (a network begins with outputs of its own)
  TrainingDynamics(const Tensor& K, const Tensor& change, const MachineOptions& options = {});

  Tensor coefficients(const TrainingTime& time) const;  ///< α_t, [n, k]
  /// T_t = U g_t(λ) Uᵀ, so that α_t = T_t(y − f_0), [n, n].
  Tensor transfer(const TrainingTime& time) const;
  /// ‖y − f_t‖² over the training examples.
  double squared_error(const TrainingTime& time) const;

  const Tensor& eigenvalues() const { return eigen_.values; }
  /// Descent converges below 2(1 + μ)/λ_max. From there on one mode at least grows or swings for ever: such rates are refused, however few the steps.
  double stable_rate(double momentum = 0) const;

 private:
  Tensor gains(const TrainingTime& time) const;

  EigenDecomposition eigen_;
  Tensor change_;
};

/// Outputs at time t of infinitely wide networks with random initial weights and outputs: a Gaussian process (Lee et al. 2019) with
///     mean Θ_x T y,   covariance K_xx − Θ_x T K_Xx − (Θ_x T K_Xx)ᵀ + Θ_x T K T Θ_xᵀ
/// Θ the tangent kernel, whose training is T (TrainingDynamics::transfer), K the covariance of the initial outputs (NNGP).
/// @param transfer, nngp  [n, n]   @param ntk_x, nngp_x  [m, n]   @param nngp_xx  [m, m]   @return [m, m], exactly symmetric
Tensor ensemble_covariance(const Tensor& transfer, const Tensor& nngp, const Tensor& ntk_x, const Tensor& nngp_x, const Tensor& nngp_xx);

}  // namespace pathkernel
