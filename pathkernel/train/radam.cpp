#include <pathkernel/train/decay.h>
#include <pathkernel/train/realised.h>
#include <pathkernel/train/radam.h>

#include <cmath>

namespace pathkernel {

RAdam::RAdam(OptimizerSettings settings, const NamedTensors& parameters) : PerParameter(std::move(settings), {"exp_avg", "exp_avg_sq", "step"}, parameters) {}

RAdamStep RAdam::update(size_t i, const Tensor& w, const Tensor& gradient, double lr) {
  const auto& s = settings_;
  state_.begin(i, w);
  Tensor& m = state_.of("exp_avg", i);
  Tensor& v = state_.of("exp_avg_sq", i);
  state_.of("step", i).add_(1);

  const Tensor u = Decay(s).apply(w, gradient, lr);
  m.lerp_(u, 1 - s.beta1);
  v.mul_(s.beta2).addcmul_(u, u, 1 - s.beta2);

  const RAdamStep r = step_of(i, lr);
  Tensor update = m.div(r.bc1).mul(lr);
  if (r.rectified) update = update.mul(v.sqrt().add_(s.eps).reciprocal().mul(r.root_bc2)).mul(r.rectification);
  w.add_(update, -1);
  return r;
}

RAdamStep RAdam::step_of(size_t i, double lr) const {
  const double t = state_.of("step", i).item<double>(), beta2 = settings_.beta2;
  const double bc1 = 1 - std::pow(settings_.beta1, t), bc2 = 1 - std::pow(beta2, t);
  const double most = 2 / (1 - beta2) - 1, rho = most - 2 * t * std::pow(beta2, t) / bc2;
  return {rho > 5, lr, bc1, std::pow(bc2, 0.5), rho > 5 ? std::pow((rho - 4) * (rho - 2) * most / ((most - 4) * (most - 2) * rho), 0.5) : 1};
}

LinearForm RAdam::form(size_t i, const RAdamStep& r) const {
  const Tensor& v = state_.of("exp_avg_sq", i);
  const at::ScalarType dtype = v.scalar_type();
  LinearForm form;
  put_lerp_into(form, settings_.beta1, dtype);
  const double step_size = realised(r.lr, dtype) / realised(r.bc1, dtype);
  if (r.rectified) form.D.diagonal = v.sqrt().add_(settings_.eps).to(at::kDouble).reciprocal_().mul_(step_size * realised(r.root_bc2, dtype) * realised(r.rectification, dtype));
  else form.D.number = step_size;
  Decay(settings_).put_into(form, r.lr, dtype);
  return form;
}

}  // namespace pathkernel
