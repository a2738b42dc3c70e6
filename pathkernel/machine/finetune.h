#pragma once

#include <pathkernel/core/progress.h>
#include <pathkernel/machine/conjugate_gradients.h>
#include <pathkernel/machine/joint_laplace.h>
#include <pathkernel/model/model.h>

#include <string>
#include <vector>

namespace pathkernel {

struct FinetuneOptions {
  std::vector<double> prior = {};  ///< s₀ > 0, the variance of every weight's change; of several (with each noise) the largest evidence wins. Empty: nine, 1e-4 … 1e4 over the mean of JJᵀ's diagonal
  std::vector<double> noise = {};  ///< numbers: σ² ≥ 0, the variance of a target. Empty: five, 1e-4 … 1 times the mean square of what is to be learned
  bool from_network = true;   ///< the function that no example speaks of is the network's own; else zero (numbers: the targets' mean)
  int64_t classes = 0;        ///< of the labels, which must be as many as the outputs tell apart; 0: so many
  bool matrix_free = false;   ///< nothing of size n²: products K v = J(Jᵀv) in conjugate gradients. Wants one prior and one noise; no variance, no evidence
  int64_t rank = 50;          ///< matrix_free: of the preconditioner, one product each
  CgOptions cg = {};          ///< matrix_free
  LaplaceOptions laplace = {};  ///< classes: Newton's method
  MachineOptions machine = {};
  Progress progress = {};
};

/// A trained network fitted to another task in function space (Damianou's k_DNN; Maddox et al. 2021, Fast Adaptation with Linearized Neural Networks; theory 8): the Gaussian process
///     f(x) = m(x) + J(x)v,   v ~ N(0, s₀I),   k(x, x') = s₀ J(x)J(x')ᵀ   [O, O]
/// of all O outputs together, J the Jacobian of the network by all of its weights, in float64. Numbers: y = f + N(0, σ²), exact. Classes: softmax of f (O = 1: two classes, the
/// logistic function), Laplace's approximation (joint_laplace.h), the generalised Gauss–Newton one of the linear network. The fit is a change of the weights, v = s₀Jᵀα.
struct Finetuned {
  bool classes = false, from_network = true;
  double prior = 0, noise = 0;
  Tensor alpha;       ///< [n, O]
  Tensor offset;      ///< [O], m(x) where it is not the network's
  Tensor change;      ///< v, the parameters one after the other, [P]
  Cholesky factor;    ///< exact: of s₀K + σ²I, or of I + HᵀKH; undefined where the fit is matrix-free
  Tensor H;           ///< classes: [n, O, O]
  double log_evidence = 0;   ///< exact; classes: Laplace's. NaN where the fit is matrix-free
  double residual = 0;       ///< numbers: ‖y − m − (s₀K + σ²I)α‖/‖y − m‖; classes: largest |y − π − α|
  double unexplained = 0;    ///< matrix-free: the part of K's trace that the preconditioner leaves
  int64_t iterations = 0;    ///< of conjugate gradients or of Newton's method; 0: solved directly
  bool converged = true;
  bool exact() const { return factor.L.defined(); }
  std::string brief() const;
};

/// @param model  with the trained weights; they are those it has again afterwards
/// @param inputs  of n examples   @param targets  classes: int64 [n]; numbers: [n] or [n, O]
/// Exact: the tangent kernel of n inputs (kernel/tangent_kernel.h), 4 matrices of (nO)² numbers, (nO)³/3 operations for each prior or Newton step.
/// @throws InvalidInput for targets that are not as many as the network's outputs, no prior above zero, a matrix that is singular, numbers that are not finite, or what does not fit
/// the memory
Finetuned finetune(Model& model, const Tensors& inputs, const Tensor& targets, const FinetuneOptions& options = {});

struct FinetunedPrediction {
  Tensor outputs;        ///< mean of f, [m, O]
  Tensor covariance;     ///< of f without noise, [m, O, O]; undefined where it was not asked for
  Tensor probabilities;  ///< classes: [m, C]; of the mean alone where there is no covariance
  double probability_error = 0;  ///< largest standard error, where they are a Monte-Carlo estimate
};

/// @param inputs  those fitted to; used for the covariance alone
/// Cost: a forward pass and one Jacobian-vector product; with the covariance the tangent kernel between queries and examples.
/// @throws InvalidInput for the covariance of a matrix-free fit
FinetunedPrediction predict(Model& model, const Finetuned& fit, const Tensors& inputs, const Tensors& queries, bool covariance = true, int64_t memory = int64_t{4} << 30);

}  // namespace pathkernel
