#pragma once

#include <pathkernel/core/tensors.h>

namespace pathkernel {

/// A number, or one number per weight (then `diagonal` has the parameter's shape and the number is ignored).
struct Coefficient {
  double number = 0;
  Tensor diagonal;  ///< undefined when the coefficient is a plain number

  bool is_diagonal() const { return diagonal.defined(); }
  bool is_zero() const { return !diagonal.defined() && number == 0; }
  Coefficient to(at::ScalarType dtype) const;
  /// coefficient ∘ t
  Tensor times(const Tensor& t) const;
  Coefficient times(const Coefficient& other) const;
  Coefficient plus(const Coefficient& other) const;
};

}  // namespace pathkernel
