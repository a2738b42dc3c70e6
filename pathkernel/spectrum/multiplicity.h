#pragma once

#include <cstdint>
#include <string>

namespace pathkernel {

/// N(d, k) = (2k+d−2)/k · C(k+d−3, d−2), N(d, 0) = 1: how many spherical harmonics of degree k there are on S^{d−1} (theory 7).
/// Exact, as a decimal number.  @param dim  d ≥ 3
std::string multiplicity(int64_t dim, int64_t k);

/// log₁₀ N(d, k) to the rounding of a double.
double log10_multiplicity(int64_t dim, int64_t k);

}  // namespace pathkernel
