#pragma once

#include <pathkernel/machine/matrix.h>

#include <cstdint>

namespace pathkernel {

/// Principal components in the kernel's feature space (Schölkopf, Smola and Müller 1998): of K centred, K − 1K − K1 + 1K1 with 1 the matrix of 1/n.
struct KernelPca {
  Tensor variances;   ///< of the components: eigenvalues of the centred K over n, descending, [c]
  Tensor explained;   ///< their shares of the trace, [c]
  Tensor directions;  ///< eigenvectors/√eigenvalue, [n, c]; each with its largest entry positive
  Tensor column_means;  ///< of K, [n]
  double mean = 0;      ///< of K

  /// Coordinates of queries, [m, c].
  Tensor transform(const Tensor& K_x) const;
};

/// @param components  at most this many; 0: all whose eigenvalue is more than rounding   3 matrices, 9n³ operations
KernelPca fit_kernel_pca(const Tensor& K, int64_t components, const MachineOptions& options = {});

}  // namespace pathkernel
