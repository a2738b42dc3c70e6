#pragma once

#include <pathkernel/core/progress.h>
#include <pathkernel/kernel/kernel.h>

#include <string>

namespace pathkernel {

struct GramOptions {
  int64_t memory = int64_t{4} << 30;  ///< bytes for what is computed: the tiles in work, and the matrix where it is held in memory
  int64_t tile = 0;                   ///< rows and columns of a tile; 0 chooses so that a tile stays in the cache and fits the memory
  Progress progress = {};             ///< in tiles; may be called by any thread, one at a time
};

/// The driver for Gram matrices of any size: cut in square tiles that are shared out over at::get_num_threads() threads. Without y the matrix
/// is K(x, x): only tiles on and below the diagonal are computed, each is mirrored, and the result is exactly symmetric.
/// Tiles compute without autograd; for gradients there is Kernel::gram.
/// @param y  undefined for the symmetric matrix
/// @return [n, m] in the dtype of x
/// @throws InvalidInput as Kernel::gram; when the memory does not suffice (saying how much would); naming the first entry that is not finite
Tensor gram_matrix(const Kernel& kernel, const Tensor& x, const Tensor& y = {}, const GramOptions& options = {});

/// The same into a .npy file, mapped into memory while tiles arrive: the matrix may be larger than the memory. The file appears whole or not at
/// all. @throws InvalidInput also when the disk is too small
void gram_to_npy(const Kernel& kernel, const Tensor& x, const Tensor& y, const std::string& path, const GramOptions& options = {});

/// K(x_i, x_i), [n], in pieces that fit the memory.
Tensor gram_diagonal(const Kernel& kernel, const Tensor& x, const GramOptions& options = {});

/// A Gram matrix that is a Monte-Carlo estimate, averaged over independent draws, with the standard error of the mean.
struct GramEstimate {
  Tensor mean, standard_error;  ///< [n, m]
};

/// @param draws  at least 2
/// @throws InvalidInput when the kernel is exact (Kernel::redrawn is null)
GramEstimate gram_estimate(const Kernel& kernel, const Tensor& x, const Tensor& y, int64_t draws, const GramOptions& options = {});

}  // namespace pathkernel
