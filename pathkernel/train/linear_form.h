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
};

/// What an optimizer did to one parameter at one step, given its realised scalars and diagonals (theory 2.1):
///     u = Σ_i b_i g_i + omega_c w,   m ← mu m + N∘u,   Δ = −D∘m − E∘u − eta_omega_d w
struct LinearForm {
  double mu = 0;
  Coefficient N, D, E;
  double omega_c = 0;       ///< coupled (L2) decay
  double eta_omega_d = 0;   ///< decoupled decay times the learning rate

  bool has_memory() const { return !N.is_zero(); }
  bool has_decay() const { return omega_c != 0 || eta_omega_d != 0; }
};

}  // namespace pathkernel
