#include <pathkernel/train/decay.h>
#include <pathkernel/train/realised.h>

namespace pathkernel {

Decay::Decay(const OptimizerSettings& settings)
    : omega_(settings.weight_decay), decoupled_(settings.decoupled || settings.name == "adamw" || settings.name == "lion" || settings.name == "muon") {}

Tensor Decay::apply(const Tensor& w, const Tensor& g, double lr) const {
  if (omega_ == 0) return g;
  if (!decoupled_) return g.add(w, omega_);
  w.mul_(1 - lr * omega_);
  return g;
}

void Decay::put_into(LinearForm& form, double lr, at::ScalarType dtype) const {
  if (omega_ == 0) return;
  if (decoupled_) form.eta_omega_d = 1 - realised(1 - lr * omega_, dtype);
  else form.omega_c = realised(omega_, dtype);
}

}  // namespace pathkernel
