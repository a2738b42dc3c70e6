#pragma once

#include <pathkernel/tangent/factors.h>
#include <pathkernel/tangent/kernels/rank_one.h>
#include <pathkernel/core/coefficient.h>

namespace pathkernel {

/// Which way a product of per-example gradients is taken (theory 4f). Chosen by the number of operations, in one place.
enum class Way {
  automatic,
  factored,      ///< F: both sides stay factored; ⟨l₁,l₂⟩⟨r₁,r₂⟩
  bilinear,      ///< L: Σ_t δᵀΛa with dense Λ
  materialised,  ///< M: gradients written out, then a matrix product
};

/// Gram block ⟨g_i, h_q⟩ [n, m] between two sets of per-example gradients of one parameter of W numbers. Of one list with itself,
/// inner(g, g, n, n), it is symmetric to the last bit.
Tensor inner(const FactorList& g, const FactorList& h, int64_t n, int64_t m, Way way = Way::automatic);

/// ⟨g_i, Λ_q⟩ [n, m] with dense Λ [m, W].
Tensor contract(const FactorList& g, const Tensor& lambda, int64_t n, Way way = Way::automatic);

/// g written out, [n, W].
Tensor materialise(const FactorList& g, int64_t n, int64_t numbers, at::TensorOptions options);

/// The same gradients, written out where that takes fewer numbers than their factors do (a convolution over many positions).
FactorList compacted(FactorList g);

/// Σ_i g_i, [W].
Tensor sum_over_examples(const FactorList& g, int64_t numbers, at::TensorOptions options);

/// dense ← beta·dense + alpha·(d ∘ g), dense [n, W]; d a number or a diagonal [parameter's shape].
/// One pass over `dense` where the gradients are rank one and the device is a CPU.
/// @param along  v [W], or undefined   @return the new dense·v [n]; undefined where `along` is
Tensor accumulate(Tensor& dense, double beta, const FactorList& g, double alpha, const Coefficient& d, const Tensor& along = {});

/// The adjoint's step with decay (kernels/rank_one.h), g per-example gradients: one pass over both states.
Tensor accumulate_with_decay(Tensor& p, Tensor& q, const FactorList& g, const DecayPass& pass);

}  // namespace pathkernel
