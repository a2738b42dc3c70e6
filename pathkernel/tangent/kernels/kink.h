#pragma once

#include <pathkernel/core/tensors.h>

namespace pathkernel {

/// v ∘ S for a function with slope `above` for x > 0 and `below` for x ≤ 0 (relu, leaky relu, abs): S is that slope where both ends
/// lie on one side, and (φ(x₁) − φ(x₀))/(x₁ − x₀) across the kink (theory 3b). One pass on a CPU.
/// @param v, x0, x1  of one shape; x1 may be x0
Tensor kinked_product(const Tensor& v, const Tensor& x0, const Tensor& x1, double above, double below);

/// The same from ATen operations: the twin that tests compare with, and the way on other devices.
Tensor kinked_product_by_operations(const Tensor& v, const Tensor& x0, const Tensor& x1, double above, double below);

/// Cotangent of a max-pool's input. Per window: all of v to the winner where both ends agree on it, else u·v to end 0's winner i and
/// (1−u)·v to end 1's winner j, u = p/(p+q), p = x⁰_i − x⁰_j, q = x¹_j − x¹_i (theory 3b).
/// @param x0, x1  inputs [..., S]   @param i, j  winners' places in S, int64 [..., R]   @param v  [..., R]
Tensor give_to_winners(const Tensor& x0, const Tensor& x1, const Tensor& i, const Tensor& j, const Tensor& v);
Tensor give_to_winners_by_operations(const Tensor& x0, const Tensor& x1, const Tensor& i, const Tensor& j, const Tensor& v);

}  // namespace pathkernel
