#include <pathkernel/train/decay.h>
#include <pathkernel/train/nadam.h>
#include <pathkernel/train/realised.h>

#include <cmath>

namespace pathkernel {

NAdam::NAdam(OptimizerSettings settings, const NamedTensors& parameters)
    : Optimizer(std::move(settings), {"exp_avg", "exp_avg_sq", "mu_product", "step"}, parameters) {}

void NAdam::step(const Tensors& parameters, const Tensors& gradients, double lr) {
  const auto& s = settings_;
  begin(parameters.size());
  for (size_t i = 0; i < parameters.size(); ++i) {
    if (!gradients[i].defined()) continue;
    const Tensor& w = parameters[i];
    state_.begin(i, w);
    Tensor& m = state_.of("exp_avg", i);
    Tensor& v = state_.of("exp_avg_sq", i);
    Tensor& product = state_.of("mu_product", i);
    Tensor& count = state_.of("step", i);
    count.add_(1);
    const auto t = static_cast<double>(count.item<int64_t>());
    const Tensor u = Decay(s).apply(w, gradients[i], lr);

    product.mul_(mu_at(t));
    m.lerp_(u, 1 - s.beta1);
    v.mul_(s.beta2).addcmul_(u, u, 1 - s.beta2);

    note(i, lr, false);
    const Tensor den = denominator(i);
    w.addcdiv_(u, den, -last_[i].of_u);
    w.addcdiv_(m, den, -last_[i].of_m);
  }
}

double NAdam::mu_at(double t) const { return settings_.beta1 * (1.0 - 0.5 * std::pow(0.96, t * settings_.momentum_decay)); }

void NAdam::note(size_t i, double lr, bool) {
  const double t = state_.of("step", i).item<double>(), so_far = state_.of("mu_product", i).item<double>();
  const double mu = mu_at(t), mu_next = mu_at(t + 1);
  last_[i] = {true, lr, 1 - std::pow(settings_.beta2, t), lr * (1.0 - mu) / (1.0 - so_far), (lr * mu_next) / (1.0 - so_far * mu_next)};
}

Tensor NAdam::denominator(size_t i) const { return state_.of("exp_avg_sq", i).div(last_[i].bc2).sqrt().add_(settings_.eps); }

std::vector<LinearForm> NAdam::linear_form() const {
  std::vector<LinearForm> forms(last_.size(), unchanged());
  for (size_t i = 0; i < last_.size(); ++i) {
    if (!last_[i].updated) continue;
    const at::ScalarType dtype = state_.of("exp_avg", i).scalar_type();
    const Tensor one_over = denominator(i).to(at::kDouble).reciprocal_();
    put_lerp_into(forms[i], settings_.beta1, dtype);
    forms[i].D.diagonal = one_over * realised(last_[i].of_m, dtype);
    forms[i].E.diagonal = one_over * realised(last_[i].of_u, dtype);
    Decay(settings_).put_into(forms[i], last_[i].lr, dtype);
  }
  return forms;
}

}  // namespace pathkernel
