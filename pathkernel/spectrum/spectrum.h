#pragma once

#include <pathkernel/spectrum/zonal_kernel.h>

#include <cstdint>
#include <string>
#include <vector>

namespace pathkernel {

struct SpectrumOptions {
  int64_t digits = 16;  ///< correct significant digits of every μ_k: 1 to 100
  int64_t nodes = 0;    ///< quadrature nodes; 0: as many as the kernel, d and k_max need, which is then checked
};

/// One eigenvalue of the kernel on the sphere, with as many eigenfunctions as there are spherical harmonics of degree k.
struct Eigenvalue {
  enum class Source { closed_form, quadrature, asymptotic };
  int64_t k = 0;
  std::string multiplicity;       ///< N(d, k), exactly
  double log10_multiplicity = 0;
  std::string mu;                 ///< as many digits as asked for, or as are correct if those are fewer; "0" where it is exactly that
  double value = 0;               ///< the nearest double: 0 below 1e-323
  double log10_abs = 0;           ///< log₁₀|μ_k|, also where the double underflows; −∞ for 0
  double relative_error = 0;      ///< estimated: from two quadratures with different nodes, or the last term of the asymptotic series
  Source source = Source::quadrature;
};

/// Σ_k μ_k N(d,k) = κ(1). The tail beyond k_max follows from the expansions at ±1: their building blocks add up to 0 at u = 1 and to
/// 2^ν at u = −1.
struct TraceCheck {
  double kappa_at_one = 0;
  double partial = 0;      ///< Σ_{k ≤ k_max} μ_k N
  bool tail_known = false; ///< otherwise gap is the tail itself
  double tail = 0;
  double gap = 0;          ///< (partial + tail)/κ(1) − 1
};

struct Spectrum {
  ZonalKernel kernel;
  int64_t dim = 0;  ///< d: the sphere S^{d−1} in ℝ^d
  std::vector<Eigenvalue> eigenvalues;  ///< k = 0 … k_max
  SpectrumOptions options;
  int64_t digits_reached = 0;  ///< of the worst eigenvalue that is not 0, at most as many as asked for
  int64_t working_digits = 0;  ///< decimal digits of the arithmetic; 0 where everything is in closed form
  int64_t nodes = 0;           ///< of the better of the two quadratures
  double overlap = 0;          ///< where asymptotic values follow: relative difference to the last eigenvalue by quadrature
  TraceCheck trace;

  int64_t k_max() const { return static_cast<int64_t>(eigenvalues.size()) - 1; }
  std::string brief() const;  ///< one line: how it was computed, how far it is right
  std::string full() const;   ///< with the trace check
};

/// Eigenvalues of κ(⟨x, x'⟩) on S^{d−1} under the uniform probability measure: κ(u) = Σ_k μ_k N(d,k) P_k(u), P_k(1) = 1 (theory 7).
/// In closed form where there is one; by quadrature up to k about 600; beyond by the series of building blocks
/// μ_k = Σ_ν (c₁ + (−1)^k c₋₁) μ_k[(1−u)^ν], as soon as its last term is below the digits asked for.
/// The arithmetic has as many digits as asked for and those that cancel, ½ log₁₀ N(d,k) + (2ν+1) log₁₀ k.
/// @throws InvalidInput for d < 3, digits that the widest arithmetic cannot hold, fewer nodes than k_max needs.
/// Cost: k_max = 500, d = 20, 16 digits: about a second.
Spectrum eigenvalues(const ZonalKernel& kernel, int64_t dim, int64_t k_max, const SpectrumOptions& options = {});

/// "k,multiplicity,mu" and one line for every eigenvalue.
std::string to_csv(const Spectrum& spectrum);

}  // namespace pathkernel
