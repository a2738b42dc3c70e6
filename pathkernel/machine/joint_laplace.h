#pragma once

#include <pathkernel/machine/conjugate_gradients.h>
#include <pathkernel/machine/laplace.h>

#include <functional>
#include <optional>

namespace pathkernel {

/// Classes from C numbers f [n, C] of each example that one Gaussian process makes together: f ~ N(m, K) with K [nC, nC], rows (i, c) at i·C + c, softmax of f_i; for two classes
/// also C = 1, the logistic function of f_i. Laplace's approximation at the mode f̂ = m + Ka, a = y − π(f̂) (theory 8). With Λ_i = diag π − ππᵀ = HHᵀ, H = diag √π − π√πᵀ
/// (C = 1: √(π(1 − π))), singular and never inverted, and B = I + HᵀKH: posterior covariance K_xx − K_xX H B⁻¹ Hᵀ K_Xx.
/// With K = s₀JJᵀ of a network's Jacobian it is the generalised Gauss–Newton Laplace approximation of the network that is linear in its weights.
struct JointLaplace {
  Tensor mode;      ///< f̂, [n, C]
  Tensor alpha;     ///< a, [n, C]
  Tensor H;         ///< [n, C, C]
  std::optional<Cholesky> factor;  ///< of B; nothing where only products with K are known
  double log_evidence = 0;         ///< −½ aᵀKa + Σ log p(y|f̂) − ½ log|B|; NaN without the factor
  double residual = 0;             ///< largest |y − π(f̂) − a|: zero at the mode, whatever solved the steps
  int64_t iterations = 0;          ///< Newton's steps
  int64_t inner_iterations = 0;    ///< of conjugate gradients in them, together
  bool converged = false;

  /// Of f at queries, [m, C, C], positive semi-definite.   @param K_x  [mC, nC]   @param K_xx  own blocks, [m, C, C]
  Tensor covariance(const Tensor& K_x, const Tensor& K_xx) const;
};

/// [n, C] → [n, C], rows add up to one; for C = 1 that of the second class.
Tensor class_probabilities(const Tensor& f);

/// @param K  [nC, nC]   @param mean  m, [n, C]   @param labels  int64 [n], 0 … max(2, C) − 1
/// 2 matrices, (nC)³/3 operations a step   @throws InvalidInput as the other machines
JointLaplace fit_joint_laplace(const Tensor& K, const Tensor& mean, const Tensor& labels, const LaplaceOptions& options = {});

/// The same from products with K alone; steps by conjugate gradients on B.
/// @param precondition  for a given H an approximate inverse of B, or empty   @param cg  tolerance of a step; the mode's own residual is what counts
JointLaplace fit_joint_laplace(const LinearMap& K, const Tensor& mean, const Tensor& labels, const std::function<LinearMap(const Tensor& H)>& precondition, const CgOptions& cg,
                               const LaplaceOptions& options = {});

}  // namespace pathkernel
