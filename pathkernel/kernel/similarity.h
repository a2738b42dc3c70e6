#pragma once

#include <pathkernel/core/tensors.h>

#include <cstdint>

namespace pathkernel {

// How alike two Gram matrices are, and how many directions one has (theory 10). All are [n, n], symmetric, of the same inputs in the same order.

/// S = 1 − ⟨K, L⟩/(‖K‖‖L‖): 0 for the same up to scale (Fort et al. 2020).
double kernel_distance(const Tensor& K, const Tensor& L);

/// Centred kernel alignment ⟨HKH, HLH⟩/(‖HKH‖‖HLH‖), H = I − 11ᵀ/n (Cortes, Mohri & Rostamizadeh 2012; Kornblith et al. 2019). Of few inputs it
/// is large for unrelated features, too.
double centred_alignment(const Tensor& K, const Tensor& L);

/// The same from Song et al.'s unbiased estimate of HSIC (2012), with zero diagonals: 0 in the mean for unrelated features. Needs n ≥ 4. NaN where the estimate for K
/// with itself is zero to rounding: a matrix whose entries beside the diagonal are a_i + a_j is like no other.
double unbiased_centred_alignment(const Tensor& K, const Tensor& L);

/// Three counts of the directions that a kernel has, from its eigenvalues λ ≥ 0: 1 for one direction, n for n equal ones.
struct EffectiveRanks {
  double entropy = 0;        ///< exp(−Σ p ln p), p = λ/Σλ
  double participation = 0;  ///< (Σλ)²/Σλ²
  double stable = 0;         ///< Σλ/λ_max
};
EffectiveRanks effective_ranks(const Tensor& K);

/// tr(YᵀKY)/(‖K‖‖Y‖²): how much of the kernel lies along the labels.  @param Y  [n] or [n, C], as it is compared: centred or not
double label_alignment(const Tensor& K, const Tensor& Y);
/// Σ_{j≤r} ‖u_jᵀY‖²/‖Y‖²: how much of the labels the r leading eigenvectors hold.
double leading_share(const Tensor& K, const Tensor& Y, int64_t r);

}  // namespace pathkernel
