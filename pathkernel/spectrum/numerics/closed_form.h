#pragma once

#include <pathkernel/spectrum/numerics/real.h>
#include <pathkernel/spectrum/zonal_kernel.h>

#include <vector>

namespace pathkernel {

/// Whether closed_form() knows this kernel: arc-cosine, NTK, NNGP and step of depth 2, Gaussian.
bool has_closed_form(const ZonalKernel& kernel);

/// μ_0 … μ_{k_max} to the precision of Wide, zeros exactly.
/// * Arc-cosine kernel of order α: μ_k = λ_k²/E[t₊^{2α}], λ_k the Funk–Hecke coefficient of t₊^α (theory 7; Bach 2017, appendix D),
///     λ_k = Γ(d/2) Γ(α+1) 2^{−α−1} / (Γ(1+(α−k)/2) Γ((α+k+d)/2)),   λ_{k+2} = λ_k (α−k)/(α+k+d),
///     E[t₊^{2α}] = Γ(d/2) Γ(α+½)/(2√π Γ(α+d/2)).
/// * NTK of depth 2, u κ₀ + κ₁:  μ_k[u κ₀] = (k μ_{k−1}[κ₀] + (k+d−2) μ_{k+1}[κ₀])/(2k+d−2).
/// * Gaussian exp(−z(1−u)), z = 2c:  μ_k = e^{−z} Γ(d/2) (2/z)^{d/2−1} I_{k+d/2−1}(z), by the series of the Bessel function I, all
///   of whose terms are positive.
std::vector<Wide> closed_form(const ZonalKernel& kernel, int64_t dim, int64_t k_max);

}  // namespace pathkernel
