#include <pathkernel/train/adamax.h>
#include <pathkernel/train/decay.h>
#include <pathkernel/train/realised.h>

#include <ATen/ops/maximum.h>

#include <cmath>

namespace pathkernel {

Adamax::Adamax(OptimizerSettings settings, const NamedTensors& parameters) : Optimizer(std::move(settings), {"exp_avg", "exp_inf", "step"}, parameters) {}

void Adamax::step(const Tensors& parameters, const Tensors& gradients, double lr) {
  const auto& s = settings_;
  begin(parameters.size());
  for (size_t i = 0; i < parameters.size(); ++i) {
    if (!gradients[i].defined()) continue;
    const Tensor& w = parameters[i];
    state_.begin(i, w);
    Tensor& m = state_.of("exp_avg", i);
    Tensor& v = state_.of("exp_inf", i);
    state_.of("step", i).add_(1);

    const Tensor u = Decay(s).apply(w, gradients[i], lr);
    m.lerp_(u, 1 - s.beta1);
    v.mul_(s.beta2);
    at::maximum_out(v, v, u.abs().add_(s.eps));
    note(i, lr, false);
    w.addcdiv_(m, v, -last_[i].step_size);
  }
}

void Adamax::note(size_t i, double lr, bool) { last_[i] = {true, lr, lr / (1 - std::pow(settings_.beta1, state_.of("step", i).item<double>()))}; }

std::vector<LinearForm> Adamax::linear_form() const {
  std::vector<LinearForm> forms(last_.size(), unchanged());
  for (size_t i = 0; i < last_.size(); ++i) {
    if (!last_[i].updated) continue;
    const Tensor& v = state_.of("exp_inf", i);
    put_lerp_into(forms[i], settings_.beta1, v.scalar_type());
    forms[i].D.diagonal = v.to(at::kDouble).reciprocal().mul_(realised(last_[i].step_size, v.scalar_type()));
    Decay(settings_).put_into(forms[i], last_[i].lr, v.scalar_type());
  }
  return forms;
}

}  // namespace pathkernel
