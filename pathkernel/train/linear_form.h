#pragma once

#include <pathkernel/core/coefficient.h>
#include <pathkernel/core/side_matrix.h>

namespace pathkernel {

/// What an optimizer did to one parameter at one step, given its realised scalars and diagonals (theory 2.1):
///     û = κ M∘Σ_i b_i g_i,   u = û + omega_c w,   m ← mu m + N∘u,   Δ = −S(D∘m + E∘u) − eta_omega_d w − beyond
/// S is the identity, and nothing is beyond, but for optimizers that multiply a whole matrix of weights (Muon).
struct LinearForm {
  double mu = 0;
  Coefficient N, D, E;
  double omega_c = 0;       ///< coupled (L2) decay
  double eta_omega_d = 0;   ///< decoupled decay times the learning rate
  double kappa = 1;         ///< clipping by norm: what the batch's gradient was multiplied by
  Tensor M;                 ///< clipping by value: clipped/raw elementwise, 1 where the raw gradient is 0; undefined: not clipped
  SideMatrix S;             ///< in float64; then D and E are numbers, and decay is decoupled
  Tensor beyond;            ///< of the parameter's shape: what the optimizer's own arithmetic is known to have added, which goes to the rounding

  bool has_memory() const { return !N.is_zero(); }
  bool has_decay() const { return omega_c != 0 || eta_omega_d != 0; }
};

}  // namespace pathkernel
