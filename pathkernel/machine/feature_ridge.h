#pragma once

#include <pathkernel/core/progress.h>
#include <pathkernel/kernel/random_features.h>
#include <pathkernel/machine/matrix.h>

#include <cstdint>
#include <functional>

namespace pathkernel {

/// Features Φ of the examples begin … begin + rows − 1, [rows, D].
using FeatureRows = std::function<Tensor(int64_t begin, int64_t rows)>;

/// w = (ΦᵀΦ + λI)⁻¹Φᵀy, [D, k]: ridge regression in n·D² operations, streamed, with memory for 3 matrices D×D and one block of rows.
/// @param lambda  > 0
Tensor fit_features(const FeatureRows& rows, int64_t n, int64_t features, const Tensor& y, double lambda, const MachineOptions& options = {},
                    const Progress& progress = {});

/// Nyström's approximation K ≈ K_nm K_mm⁻¹ K_mn from m landmarks among the examples: ridge regression for large n.
struct Nystrom {
  Tensor landmarks;  ///< which examples, int64 [m], ascending
  Tensor alpha;      ///< f(x) = Σ_j α_j k(x, z_j), [m, k]
  int64_t rank = 0;  ///< eigenvalues of K_mm above rounding; the others are left out
  double unexplained = 0;  ///< trace(K − approximation)/trace(K): zero where the landmarks say everything
};

/// @param x  [n, ...]   @param landmarks  how many, drawn evenly without repetition; with all n the machine is kernel ridge
/// n·m kernel values and n·m² operations. @throws InvalidInput as gram_matrix
Nystrom fit_nystrom(const Kernel& kernel, const Tensor& x, const Tensor& y, double lambda, int64_t landmarks, uint64_t seed = 0,
                    const MachineOptions& options = {}, const Progress& progress = {});

/// Ridge regression on random features of a kernel.
struct RandomFeatureRidge {
  Tensor weights;          ///< [D, k]
  double kernel_error = 0; ///< root mean square of the features' standard error of K over pairs among the first 200 examples, relative to the mean k(x, x)

  Tensor predict(const RandomFeatures& features, const Tensor& x) const;  ///< [m, k]
};
RandomFeatureRidge fit_random_features(const RandomFeatures& features, const Tensor& x, const Tensor& y, double lambda, const MachineOptions& options = {},
                                       const Progress& progress = {});

/// Random Fourier features of a kernel that is rbf, laplace (norm 2) or matern, by itself. @throws InvalidInput for others
RandomFeatures fourier_features_of(const Kernel& kernel, int64_t inputs, int64_t directions, uint64_t seed);

}  // namespace pathkernel
