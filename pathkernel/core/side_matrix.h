#pragma once

#include <pathkernel/core/tensors.h>

namespace pathkernel {

/// A matrix that acts on a parameter W [A, B] from one side: S·W with S [A, A] from the left, W·S with S [B, B] from the right.
struct SideMatrix {
  Tensor S;                ///< undefined: the identity
  bool from_right = false;

  bool defined() const { return S.defined(); }
  /// S·W or W·S of flat rows [..., A·B], in W's shape; and with Sᵀ in S's place, its adjoint.
  Tensor times(const Tensor& flat) const { return product(flat, S); }
  Tensor transposed_times(const Tensor& flat) const { return product(flat, S.t()); }

 private:
  Tensor product(const Tensor& flat, const Tensor& matrix) const;
};

}  // namespace pathkernel
