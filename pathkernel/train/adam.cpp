#include <pathkernel/train/adam.h>
#include <pathkernel/train/realised.h>

#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include <cmath>

namespace pathkernel {

Adam::Adam(OptimizerSettings settings, const NamedTensors& parameters)
    : Optimizer(std::move(settings)), parameters_(parameters), state_({"exp_avg", "exp_avg_sq", "step"}, parameters) {}

void Adam::step(const Tensors& parameters, const Tensors& gradients, double lr) {
  const auto& s = settings_;
  last_.assign(parameters.size(), {});
  for (size_t i = 0; i < parameters.size(); ++i) {
    if (!gradients[i].defined()) continue;
    const Tensor& w = parameters[i];
    Tensor u = gradients[i];
    Tensor& m = state_.of("exp_avg", i);
    Tensor& v = state_.of("exp_avg_sq", i);
    Tensor& count = state_.of("step", i);
    if (!m.defined()) {
      m = at::zeros_like(w).detach();
      v = at::zeros_like(w).detach();
      count = at::zeros({}, at::kLong);
    }
    count.add_(1);
    const auto t = static_cast<double>(count.item<int64_t>());

    if (s.weight_decay != 0) {
      if (decoupled()) w.mul_(1 - lr * s.weight_decay);
      else u = u.add(w, s.weight_decay);
    }
    m.lerp_(u, 1 - s.beta1);
    v.mul_(s.beta2).addcmul_(u, u, 1 - s.beta2);

    const double bc1 = 1 - std::pow(s.beta1, t);
    const double bc2 = 1 - std::pow(s.beta2, t);
    last_[i] = {true, lr, lr / bc1, std::pow(bc2, 0.5)};
    w.addcdiv_(m, denominator(i), -last_[i].step_size);
  }
}

Tensor Adam::denominator(size_t i) const {
  return state_.of("exp_avg_sq", i).sqrt().div(last_[i].root_bc2).add_(settings_.eps);
}

std::vector<LinearForm> Adam::linear_form() const {
  const auto& s = settings_;
  std::vector<LinearForm> forms;
  for (size_t i = 0; i < last_.size(); ++i) {
    LinearForm form = unchanged();
    if (last_[i].updated) {
      const at::ScalarType dtype = state_.of("exp_avg", i).scalar_type();
      const auto r = [&](double number) { return realised(number, dtype); };
      // lerp(m, u, x) is m + x(u−m) for x < ½ and u − (1−x)(u−m) otherwise.
      const double x = r(1 - s.beta1);
      form.mu = x < 0.5 ? 1 - x : r(1 - x);
      form.N.number = x < 0.5 ? x : 1 - r(1 - x);
      form.D.diagonal = denominator(i).to(at::kDouble).reciprocal_().mul_(r(last_[i].step_size));
      form.omega_c = decoupled() ? 0.0 : r(s.weight_decay);
      form.eta_omega_d = decoupled() && s.weight_decay != 0 ? 1 - r(1 - last_[i].lr * s.weight_decay) : 0.0;
    }
    forms.push_back(std::move(form));
  }
  return forms;
}

Tensors Adam::memory() const {
  Tensors memory;
  for (size_t i = 0; i < parameters_.size(); ++i) {
    const Tensor& m = state_.of("exp_avg", i);
    memory.push_back(m.defined() ? m : at::zeros_like(parameters_[i].tensor).detach());
  }
  return memory;
}

}  // namespace pathkernel
