#pragma once

#include <pathkernel/spectrum/zonal_kernel.h>

#include <string>
#include <vector>

namespace pathkernel {

/// κ(1 − t) = polynomial + Σ c t^ν and κ(−1 + t) likewise, without terms of whole ν, smallest ν first (theory 7).
struct Expansion {
  std::vector<ExpansionTerm> at_plus_one, at_minus_one;
  bool known = false;  ///< false for a user's kernel of which nothing was said, and for entire kernels, which have no such terms
};

/// Found by running the kernel's own formula on power series in σ, t = σ^{2p} (t = σ² at −1); ν up to 12, less for deep step kernels.
/// Cost: some O(N²) products a layer, N about 40: milliseconds.
Expansion expansion(const ZonalKernel& kernel);

/// How the eigenvalues fall off: Theorem 1 of Bietti and Bach (2021, arXiv:2009.14397). μ_k → constant · k^exponent, separately for
/// even and odd k; exponent = −d − 2ν + 1 with the smallest ν whose coefficient c₁ + (−1)^k c₋₁ is not zero, and
/// constant = that coefficient · Γ(d/2) 2^{ν+d−2} Γ(ν+(d−1)/2)/(√π Γ(−ν)).
struct ParityDecay {
  bool zero = false;  ///< every coefficient cancels: these eigenvalues fall off faster than any power, or are zero
  double nu = 0, c = 0;
  double exponent = 0;
  double log10_constant = 0;
};
struct PredictedDecay {
  bool known = false;  ///< otherwise nothing below is meant
  ParityDecay even, odd;
  double nu = 0, c_plus = 0, c_minus = 0;  ///< the leading ν, with what stands at it on either side
};
PredictedDecay predicted_decay(const ZonalKernel& kernel, int64_t dim);

/// log₁₀|c B_k(ν)|, the leading building block itself (theory 7), which is closer at moderate k than constant · k^exponent.
/// @param k  above ν
double log10_leading(const ParityDecay& decay, int64_t dim, int64_t k);

}  // namespace pathkernel
