#pragma once

#include <pathkernel/spectrum/spectrum.h>

#include <cstdint>

namespace pathkernel {

/// How the eigenvalues of one parity of k fall off, measured. By least squares over the upper part of the spectrum
///   log(μ_k N(d,k)) = A + q log x + B x^{−r} + C x^{−2r},   x = √(k(k+d−2)),   exponent of μ_k: q − (d−2),
/// x² being the sphere's own frequency (the eigenvalue of its Laplacian), N ~ k^{d−2}, and r that of ¼, ½, ¾, 1, 3/2, 2 which leaves the
/// smallest residual. Theory's exponents are not used.
struct FittedExponent {
  bool known = false;   ///< false when there are fewer than 12 eigenvalues to fit
  bool zero = false;    ///< all of them are exactly 0
  double exponent = 0;
  /// There is no noise; this is what the form of the fit leaves open: the change without the last term, and the largest change to another r
  /// whose residual is not ten times larger, or to the upper half of the range. Of 504 tried (12 kernels, d = 3 … 64, k_max = 60 … 400)
  /// none was off by more.
  double error = 0;
  double correction = 0;  ///< r
  bool power_law() const { return known && error < 0.5 * (exponent < 0 ? -exponent : exponent); }  ///< otherwise the numbers mean nothing
  int64_t first_k = 0, last_k = 0, count = 0;
};
struct FittedDecay {
  FittedExponent even, odd;
};

/// @param first_k  where the fit begins; 0: at k_max/4
FittedDecay fit_decay(const Spectrum& spectrum, int64_t first_k = 0);

}  // namespace pathkernel
