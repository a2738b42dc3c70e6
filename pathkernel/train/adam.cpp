#include <pathkernel/train/adam.h>
#include <pathkernel/train/decay.h>
#include <pathkernel/train/realised.h>

#include <ATen/ops/maximum.h>

#include <cmath>

namespace pathkernel {
namespace {

std::vector<std::string> kinds_of(const OptimizerSettings& s) {
  if (s.amsgrad) return {"exp_avg", "exp_avg_sq", "max_exp_avg_sq", "step"};
  return {"exp_avg", "exp_avg_sq", "step"};
}

}  // namespace

Adam::Adam(OptimizerSettings settings, const NamedTensors& parameters) : Optimizer(settings, kinds_of(settings), parameters) {}

void Adam::step(const Tensors& parameters, const Tensors& gradients, double lr) {
  const auto& s = settings_;
  begin(parameters.size());
  for (size_t i = 0; i < parameters.size(); ++i) {
    if (!gradients[i].defined()) continue;
    const Tensor& w = parameters[i];
    state_.begin(i, w);
    Tensor& m = state_.of("exp_avg", i);
    Tensor& v = state_.of("exp_avg_sq", i);
    Tensor& count = state_.of("step", i);
    count.add_(1);

    const Tensor u = Decay(s).apply(w, gradients[i], lr);
    m.lerp_(u, 1 - s.beta1);
    v.mul_(s.beta2).addcmul_(u, u, 1 - s.beta2);
    if (s.amsgrad) {
      Tensor& largest = state_.of("max_exp_avg_sq", i);
      at::maximum_out(largest, largest, v);
    }

    note(i, lr, false);
    w.addcdiv_(m, denominator(i), -last_[i].step_size);
  }
}

void Adam::note(size_t i, double lr, bool) {
  const double t = state_.of("step", i).item<double>();
  const double bc1 = 1 - std::pow(settings_.beta1, t), bc2 = 1 - std::pow(settings_.beta2, t);
  last_[i] = {true, lr, lr / bc1, std::pow(bc2, 0.5)};
}

Tensor Adam::denominator(size_t i) const {
  const Tensor& v = state_.of(settings_.amsgrad ? "max_exp_avg_sq" : "exp_avg_sq", i);
  return v.sqrt().div(last_[i].root_bc2).add_(settings_.eps);
}

std::vector<LinearForm> Adam::linear_form() const {
  std::vector<LinearForm> forms(last_.size(), unchanged());
  for (size_t i = 0; i < last_.size(); ++i) {
    if (!last_[i].updated) continue;
    const at::ScalarType dtype = state_.of("exp_avg", i).scalar_type();
    put_lerp_into(forms[i], settings_.beta1, dtype);
    forms[i].D.diagonal = denominator(i).to(at::kDouble).reciprocal_().mul_(realised(last_[i].step_size, dtype));
    Decay(settings_).put_into(forms[i], last_[i].lr, dtype);
  }
  return forms;
}

}  // namespace pathkernel
