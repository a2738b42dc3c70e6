#pragma once

#include <pathkernel/core/tensors.h>

namespace pathkernel {

/// The memory-bound inner loops of the sweep, each one pass over [n, W] on a CPU (plain ATen operations on other devices).
/// float32 and float64.

/// dense[q, o, i] ← beta·dense + scale·d[o, i]·left[q, o]·right[q, i].
/// @param diagonal  d [out·in], or undefined for 1
/// @param along     v [out·in], or undefined
/// @return the new dense·v [n], from the same pass; undefined where `along` is
Tensor add_rank_one(Tensor& dense, double beta, const Tensor& left, const Tensor& right, double scale, const Tensor& diagonal, const Tensor& along = {});

/// dense[q, w] ← beta·dense + scale·d[w]·values[q, w]; the rest as above.
Tensor add_scaled(Tensor& dense, double beta, const Tensor& values, double scale, const Tensor& diagonal, const Tensor& along = {});

/// The adjoint's step with decay (theory 2.2) in one pass over both of its states, g = left ⊗ right:
///     y = g + q;   p ← beta·p − d∘y;   q ← keep·q + push·g + pull·p
struct DecayPass {
  double beta = 1;
  double d = 1;            ///< where `diagonal` is undefined
  Tensor diagonal;         ///< d [out·in]
  double keep = 1, push = 0, pull = 0;
  Tensor along;            ///< [out·in]
};
/// @return the old q·along [n]
Tensor add_rank_one_with_decay(Tensor& p, Tensor& q, const Tensor& left, const Tensor& right, const DecayPass& pass);

/// out[q, r] = Σ_o a[q, o, r]·b[o, r].  @param a [m, K, R]   @param b [K, R]   @return [m, R]
Tensor sum_of_products(const Tensor& a, const Tensor& b);

}  // namespace pathkernel
