#pragma once

#include <pathkernel/spectrum/numerics/real.h>
#include <pathkernel/spectrum/spectrum.h>

#include <vector>

namespace pathkernel {

/// Eigenvalues with what they may be wrong by.
struct CheckedValues {
  std::vector<Wide> mu;
  std::vector<double> relative_error;
  int64_t working_digits = 0, nodes = 0;
};

/// Nodes must exceed this, or the sums for the last eigenvalues are of the size of the kernel. n > k_max for p = 1 (theory 7). With
/// θ = π s^p the waves are densest, compared with the nodes, at s = (2p−1)/2p: n > k_max s^{p−1} √(2p−1).
int64_t node_threshold(int64_t power, int64_t k_max);
inline constexpr int64_t most_nodes = 12000;

/// integrate() twice, with different nodes, in as many digits as were asked for and those that cancel. The difference is the error's
/// estimate; while it is too large, again with more nodes and then with more digits.
/// @param nu  by which the eigenvalues fall off: μ_k N(d,k) ~ k^{−2ν−1}
/// @throws InvalidInput when the widest arithmetic does not hold the digits, or k_max needs more than most_nodes nodes.
CheckedValues checked_quadrature(const ZonalKernel& kernel, int64_t dim, int64_t k_max, const SpectrumOptions& options, double nu);

}  // namespace pathkernel
