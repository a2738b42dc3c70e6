#include <pathkernel/train/decay.h>
#include <pathkernel/train/realised.h>
#include <pathkernel/train/radam.h>

#include <cmath>

namespace pathkernel {

RAdam::RAdam(OptimizerSettings settings, const NamedTensors& parameters) : Optimizer(std::move(settings), {"exp_avg", "exp_avg_sq", "step"}, parameters) {}

void RAdam::step(const Tensors& parameters, const Tensors& gradients, double lr) {
  const auto& s = settings_;
  begin(parameters.size());
  for (size_t i = 0; i < parameters.size(); ++i) {
    if (!gradients[i].defined()) continue;
    const Tensor& w = parameters[i];
    state_.begin(i, w);
    Tensor& m = state_.of("exp_avg", i);
    Tensor& v = state_.of("exp_avg_sq", i);
    state_.of("step", i).add_(1);

    const Tensor u = Decay(s).apply(w, gradients[i], lr);
    m.lerp_(u, 1 - s.beta1);
    v.mul_(s.beta2).addcmul_(u, u, 1 - s.beta2);

    note(i, lr, false);
    const Realised& r = last_[i];
    Tensor update = m.div(r.bc1).mul(lr);
    if (r.rectified) update = update.mul(v.sqrt().add_(s.eps).reciprocal().mul(r.root_bc2)).mul(r.rectification);
    w.add_(update, -1);
  }
}

void RAdam::note(size_t i, double lr, bool) {
  const double t = state_.of("step", i).item<double>(), beta2 = settings_.beta2;
  const double bc1 = 1 - std::pow(settings_.beta1, t), bc2 = 1 - std::pow(beta2, t);
  const double most = 2 / (1 - beta2) - 1, rho = most - 2 * t * std::pow(beta2, t) / bc2;
  last_[i] = {true, rho > 5, lr, bc1, std::pow(bc2, 0.5), rho > 5 ? std::pow((rho - 4) * (rho - 2) * most / ((most - 4) * (most - 2) * rho), 0.5) : 1};
}

std::vector<LinearForm> RAdam::linear_form() const {
  std::vector<LinearForm> forms(last_.size(), unchanged());
  for (size_t i = 0; i < last_.size(); ++i) {
    const Realised& r = last_[i];
    if (!r.updated) continue;
    const Tensor& v = state_.of("exp_avg_sq", i);
    const at::ScalarType dtype = v.scalar_type();
    put_lerp_into(forms[i], settings_.beta1, dtype);
    const double step_size = realised(r.lr, dtype) / realised(r.bc1, dtype);
    if (r.rectified) forms[i].D.diagonal = v.sqrt().add_(settings_.eps).to(at::kDouble).reciprocal_().mul_(step_size * realised(r.root_bc2, dtype) * realised(r.rectification, dtype));
    else forms[i].D.number = step_size;
    Decay(settings_).put_into(forms[i], r.lr, dtype);
  }
  return forms;
}

}  // namespace pathkernel
