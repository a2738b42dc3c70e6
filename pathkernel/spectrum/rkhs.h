#pragma once

#include <pathkernel/spectrum/spectrum.h>

#include <string>
#include <vector>

namespace pathkernel {

/// A function's part in the spherical harmonics of each degree k, ‖f_k‖² in L² of the uniform probability measure: its "power".

/// f(x) = Σ_j b_j ⟨x, v⟩^j for a unit vector v.  @param b  coefficients of the polynomial, b_0 first.  @return powers of degrees 0 … size−1
/// By u·P: g_k ← (k g_{k−1} + (k+d−2) g_{k+1})/(2k+d−2) on f's Funk–Hecke coefficients, ‖f_k‖² = g_k² N(d,k), in 115 digits.
std::vector<double> powers_of_polynomial(int64_t dim, const std::vector<double>& b);

/// f(x) = Σ_k g_k N(d,k) P_k(⟨x, v⟩): ‖f_k‖² = g_k² N(d,k). A kernel section k(·, v) has g = μ.
std::vector<double> powers_of_zonal(int64_t dim, const std::vector<double>& g);

/// ‖f‖²_H = Σ_k ‖f_k‖²/μ_k in the kernel's reproducing kernel Hilbert space.
struct RkhsNorm {
  double squared = 0;         ///< ∞ where f is not in the space, or above 1e308
  double log10_squared = 0;
  int64_t missing_degree = -1;  ///< a degree that f has and the kernel has not (μ_k = 0): f is not in the space; −1: none
  std::vector<double> shares;   ///< [degrees] what each contributes, as a share of the sum
};
/// @throws InvalidInput when f has degrees beyond the spectrum, or an eigenvalue that is needed is negative or not known to a digit.
RkhsNorm rkhs_norm(const Spectrum& spectrum, const std::vector<double>& powers);

}  // namespace pathkernel
