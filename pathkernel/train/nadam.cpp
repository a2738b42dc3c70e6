#include <pathkernel/train/decay.h>
#include <pathkernel/train/nadam.h>
#include <pathkernel/train/realised.h>

#include <cmath>

namespace pathkernel {

NAdam::NAdam(OptimizerSettings settings, const NamedTensors& parameters)
    : PerParameter(std::move(settings), {"exp_avg", "exp_avg_sq", "mu_product", "step"}, parameters) {}

NAdamStep NAdam::update(size_t i, const Tensor& w, const Tensor& gradient, double lr) {
  const auto& s = settings_;
  state_.begin(i, w);
  Tensor& m = state_.of("exp_avg", i);
  Tensor& v = state_.of("exp_avg_sq", i);
  Tensor& count = state_.of("step", i);
  count.add_(1);
  const Tensor u = Decay(s).apply(w, gradient, lr);

  state_.of("mu_product", i).mul_(mu_at(static_cast<double>(count.item<int64_t>())));
  m.lerp_(u, 1 - s.beta1);
  v.mul_(s.beta2).addcmul_(u, u, 1 - s.beta2);

  const NAdamStep r = step_of(i, lr);
  const Tensor den = denominator(i, r);
  w.addcdiv_(u, den, -r.of_u);
  w.addcdiv_(m, den, -r.of_m);
  return r;
}

double NAdam::mu_at(double t) const { return settings_.beta1 * (1.0 - 0.5 * std::pow(0.96, t * settings_.momentum_decay)); }

NAdamStep NAdam::step_of(size_t i, double lr) const {
  const double t = state_.of("step", i).item<double>(), so_far = state_.of("mu_product", i).item<double>();
  const double mu = mu_at(t), mu_next = mu_at(t + 1);
  return {lr, 1 - std::pow(settings_.beta2, t), lr * (1.0 - mu) / (1.0 - so_far), (lr * mu_next) / (1.0 - so_far * mu_next)};
}

Tensor NAdam::denominator(size_t i, const NAdamStep& r) const { return state_.of("exp_avg_sq", i).div(r.bc2).sqrt().add_(settings_.eps); }

LinearForm NAdam::form(size_t i, const NAdamStep& r) const {
  const at::ScalarType dtype = state_.of("exp_avg", i).scalar_type();
  const Tensor one_over = denominator(i, r).to(at::kDouble).reciprocal_();
  LinearForm form;
  put_lerp_into(form, settings_.beta1, dtype);
  form.D.diagonal = one_over * realised(r.of_m, dtype);
  form.E.diagonal = one_over * realised(r.of_u, dtype);
  Decay(settings_).put_into(form, r.lr, dtype);
  return form;
}

}  // namespace pathkernel
