#pragma once

#include <pathkernel/core/progress.h>
#include <pathkernel/kernel/kernel.h>
#include <pathkernel/machine/matrix.h>

#include <cstdint>
#include <functional>

namespace pathkernel {

/// A symmetric positive definite matrix that is known by its products: [n, k] → [n, k].
using LinearMap = std::function<Tensor(const Tensor&)>;

struct CgOptions {
  int64_t iterations = 1000;
  double tolerance = 1e-8;  ///< of ‖b − Ax‖/‖b‖, for every column
  Progress progress = {};   ///< in iterations
};

struct CgSolution {
  Tensor x;         ///< [n, k]
  Tensor residual;  ///< ‖b − Ax‖/‖b‖ of each column, [k], from x itself, not from the recursion
  int64_t iterations = 0;
  bool converged = false;  ///< the residual of every column is within the tolerance
};

/// Conjugate gradients for all columns of b at once (each with its own step lengths). The recursion's residual drifts from b − Ax: it begins anew from x until b − Ax
/// itself is within the tolerance, as long as that halves it.
/// @param precondition  an approximate inverse, symmetric positive definite; empty: none
/// @throws InvalidInput when A or the preconditioner shows itself not to be positive definite
CgSolution conjugate_gradients(const LinearMap& A, const Tensor& b, const LinearMap& precondition = {}, const CgOptions& options = {});

/// (K + λI)V with K of the examples computed in blocks as it is needed and never kept: each pair of blocks once, for both of its sides.
Tensor kernel_product(const Kernel& kernel, const Tensor& x, const Tensor& V, double lambda, int64_t memory);

/// Rows of K that say most of it: K ≈ LLᵀ, L [n, r] (Cholesky with the largest pivot first, stopped early).
struct PivotedCholesky {
  Tensor L;
  double unexplained = 0;  ///< trace(K − LLᵀ)/trace(K)

  /// (LLᵀ + λI)⁻¹v, by Woodbury's identity. @param lambda  > 0
  LinearMap inverse_with(double lambda) const;
};
/// @param diagonal  of K, [n]   @param column  the column of K with this number, [n]
PivotedCholesky pivoted_cholesky(const Tensor& diagonal, const std::function<Tensor(int64_t)>& column, int64_t rank);
PivotedCholesky pivoted_cholesky(const Kernel& kernel, const Tensor& x, int64_t rank);

struct RidgeByCg {
  Tensor alpha;              ///< [n, k]
  CgSolution solution;       ///< how well it is solved
  double unexplained = 0;    ///< by the preconditioner
};

/// Kernel ridge (the mean of a Gaussian process with noise λ) for n beyond memory: nothing of size n² is kept. Every iteration computes K anew.
/// @param lambda  > 0   @param rank  of the preconditioner, n·rank numbers; 0: none
RidgeByCg fit_ridge_by_cg(const Kernel& kernel, const Tensor& x, const Tensor& y, double lambda, int64_t rank = 200, const CgOptions& cg = {},
                          const MachineOptions& options = {});

}  // namespace pathkernel
