#pragma once

#include <pathkernel/kernel/gram.h>

namespace pathkernel {

/// Which tiles of a matrix's list a process computes: every `of`-th, beginning with number `first`.
struct TileShare {
  int64_t first = 0, of = 1;
};

/// Rows of the tiles that fill_gram() would cut.   @param memory  bytes for tiles in work
int64_t gram_tile(const Kernel& kernel, const Tensor& x, const Tensor& y, int64_t memory, const GramOptions& options, const TileShare& share = {});

/// Computes the tiles of a share on all threads and writes them (where symmetric, with their mirror images) into `out` [n, m]; nothing else of it is touched.
/// @throws InvalidInput naming the first entry that is not finite
void fill_gram(const Kernel& kernel, const Tensor& x, const Tensor& y, Tensor out, int64_t memory, const GramOptions& options, const TileShare& share = {});

/// Of the whole matrix. @throws InvalidInput where an eighth of the memory would not be left for computing
int64_t gram_bytes(const Tensor& x, const Tensor& y, const GramOptions& options);

}  // namespace pathkernel
