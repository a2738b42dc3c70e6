#pragma once

#include <pathkernel/core/tensors.h>
#include <pathkernel/train/linear_form.h>
#include <pathkernel/train/optimizer_settings.h>

namespace pathkernel {

/// Weight decay of one step, as torch does it before anything else (theory 2.1: ω^c, ω^d). Coupled: u = g + ω w. Decoupled
/// (Loshchilov & Hutter 2019): w ← (1 − ηω) w in place, u = g.
class Decay {
 public:
  /// adamw, lion and muon decouple always, others where `settings.decoupled` says so.
  explicit Decay(const OptimizerSettings& settings);

  /// @return u. Without decay it is `g` itself.
  Tensor apply(const Tensor& w, const Tensor& g, double lr) const;
  /// omega_c and eta_omega_d of that step, with the numbers that the kernels used.
  void put_into(LinearForm& form, double lr, at::ScalarType dtype) const;

 private:
  double omega_;
  bool decoupled_;
};

}  // namespace pathkernel
