#pragma once

#include <pathkernel/core/tensors.h>

#include <string>

namespace pathkernel {

/// What every machine is allowed. Machines compute in float64.
struct MachineOptions {
  /// The most that may be added to the diagonal of a matrix that is not positive definite, relative to the mean of that diagonal. 0: nothing is added,
  /// such a matrix is refused. What was added is in the result (`jitter`), never silent.
  double largest_jitter = 0;
  int64_t memory = int64_t{4} << 30;  ///< bytes for matrices
};

/// A Gram matrix of training examples, from the room `kernel` or from anywhere, in float64.
/// @param who  begins messages, "ridge"
/// @throws InvalidInput when it is not square, empty, not symmetric (to 1e-10 of its largest entry; 1e-5 for float32), or holds NaN or infinite
/// numbers, with the first such entry
Tensor training_gram(const Tensor& K, const std::string& who);

/// K(x, x_i) of m queries and the n training examples, [m, n], in float64. @throws InvalidInput as above
Tensor query_gram(const Tensor& K_x, int64_t n, const std::string& who);

/// k(x, x) of m queries, [m], in float64. @throws InvalidInput when there are not m of them, or one is negative or not finite
Tensor query_diagonal(const Tensor& k_xx, int64_t m, const std::string& who);

/// Targets [n] or [n, k] as float64 [n, k]. @throws InvalidInput when there are not n of them, or one is not finite
Tensor targets_of(const Tensor& y, int64_t n, const std::string& who);

/// @throws InvalidInput saying what is needed for `matrices` matrices of n×n float64 numbers, and what is allowed
void require_memory(double matrices, int64_t n, int64_t allowed, const std::string& who);

/// @throws InvalidInput when K (as training_gram returns it) has an eigenvalue below −1e-10 of its largest diagonal entry. One Cholesky factorisation.
void require_positive_semi_definite(const Tensor& K, const std::string& who);

/// A = LLᵀ, L lower triangular.
struct Cholesky {
  Tensor L;           ///< [n, n]
  double jitter = 0;  ///< what was added to A's diagonal

  Tensor solve(const Tensor& b) const;       ///< A⁻¹b, b [n, k]
  Tensor half_solve(const Tensor& b) const;  ///< L⁻¹b
  Tensor inverse() const;                    ///< A⁻¹
  double log_determinant() const;            ///< log|A|
};

/// n³/3 operations. Where a pivot is no more than rounding leaves of a zero (n·ε of the largest diagonal entry), A counts as singular.
/// @param what  is factorised, for the message: "K + lambda*I"
/// @throws InvalidInput saying whether A is singular or has a negative eigenvalue, the eigenvalue, and what to do
Cholesky cholesky(const Tensor& A, const MachineOptions& options, const std::string& who, const std::string& what);

/// K = U diag(s) Uᵀ, s ascending.
struct EigenDecomposition {
  Tensor values, vectors;  ///< [n], [n, n]
};

/// Of a positive semi-definite matrix. Eigenvalues that rounding made negative are zero.
/// @throws InvalidInput when one is negative beyond 10n·ε of the largest
EigenDecomposition eigen_decomposition(const Tensor& K, const std::string& who);

}  // namespace pathkernel
