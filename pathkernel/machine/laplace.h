#pragma once

#include <pathkernel/machine/matrix.h>

#include <cstdint>

namespace pathkernel {

struct LaplaceOptions {
  int64_t iterations = 100;
  double tolerance = 1e-9;  ///< done when Newton's whole step moves no f̂ by more, in units of the largest |f̂| (or of 1): the next one would be its square
  MachineOptions machine = {};
};

/// Gaussian process classification of two classes: labels −1 (class 0) and +1 (class 1), p(y|f) = σ(yf), f ~ GP(0, k), by Laplace's approximation at the mode f̂
/// (Rasmussen and Williams 2006, algorithms 3.1 and 3.2; theory 8). W = π(1 − π), B = I + W^½KW^½.
struct LaplaceBinary {
  Tensor mode;      ///< f̂, [n]
  Tensor gradient;  ///< ∇log p(y|f̂) = (y + 1)/2 − π, [n]; at the mode Kgradient = f̂
  Tensor root;      ///< W^½, [n]
  Cholesky factor;  ///< of B
  double log_evidence = 0;  ///< log q = −½ f̂ᵀK⁻¹f̂ + Σ log σ(yf̂) − ½ log|B|
  int64_t iterations = 0;
  bool converged = false;  ///< false too where rounding ended the steps before

  Tensor mean(const Tensor& K_x) const;                              ///< of f, [m]
  Tensor variance(const Tensor& K_x, const Tensor& k_xx) const;      ///< of f, [m]: k(x, x) − ‖L⁻¹W^½k_x‖²
  /// ∫σ(f) N(f; mean, variance) df of both classes, [m, 2], by quadrature to 1e-12.
  Tensor probabilities(const Tensor& K_x, const Tensor& k_xx) const;
};

/// @param labels  int64 [n], 0 or 1   3 matrices, n³/3 operations an iteration
LaplaceBinary fit_laplace_binary(const Tensor& K, const Tensor& labels, const LaplaceOptions& options = {});

/// Probabilities by Monte Carlo, with the standard error of each.
struct EstimatedProbabilities {
  Tensor mean, standard_error;  ///< [m, classes]
};

/// The same for C classes: softmax of C independent processes with one kernel (algorithms 3.3 and 3.4). The evidence has the term −½ log|Σ_c E_c|, which the
/// book's algorithm 3.3 leaves out.
struct LaplaceMulticlass {
  Tensor mode, gradient;  ///< f̂ and y − π, [C, n]
  Tensor E;               ///< E_c = D_c^½(I + D_c^½KD_c^½)⁻¹D_c^½, [C, n, n]
  Cholesky factor;        ///< of Σ_c E_c
  double log_evidence = 0;
  int64_t iterations = 0;
  bool converged = false;  ///< as for two classes

  Tensor mean(const Tensor& K_x) const;                            ///< of f, [m, C]
  Tensor covariance(const Tensor& K_x, const Tensor& k_xx) const;  ///< of f among the classes, [m, C, C]
  /// E softmax(f) over `draws` normal draws (in pairs z, −z; the same for every query).
  EstimatedProbabilities probabilities(const Tensor& K_x, const Tensor& k_xx, int64_t draws = 2000, uint64_t seed = 0) const;
};

/// @param labels  int64 [n], 0 … classes − 1   C + 4 matrices, C(n³/3 + n³) operations an iteration
LaplaceMulticlass fit_laplace_multiclass(const Tensor& K, const Tensor& labels, int64_t classes, const LaplaceOptions& options = {});

}  // namespace pathkernel
