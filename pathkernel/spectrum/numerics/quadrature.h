#pragma once

#include <pathkernel/spectrum/numerics/real.h>
#include <pathkernel/spectrum/zonal_kernel.h>

#include <vector>

namespace pathkernel {

/// μ_0 … μ_{k_max} by Gauss–Legendre quadrature with n nodes in s, θ = π s^p (theory 7):
///   μ_k = Γ(d/2)/(√π Γ((d−1)/2)) ∫₀^π κ(cos θ) P_k(cos θ) sin^{d−2}θ dθ,
///   P_k = u P_{k−1} + (k−1)/(k+d−3) (u P_{k−1} − P_{k−2}).
/// Only correct for n above quadrature_threshold(); the sums cancel, so that about lost_digits() of Real's digits are lost.
/// Cost: O(n k_max) + O(n²) for the nodes, which are kept for the next call.
template <class Real>
std::vector<Wide> integrate(const ZonalKernel& kernel, int64_t dim, int64_t k_max, int64_t n);

extern template std::vector<Wide> integrate<Narrow>(const ZonalKernel&, int64_t, int64_t, int64_t);
extern template std::vector<Wide> integrate<Wide>(const ZonalKernel&, int64_t, int64_t, int64_t);
extern template std::vector<Wide> integrate<Widest>(const ZonalKernel&, int64_t, int64_t, int64_t);

}  // namespace pathkernel
