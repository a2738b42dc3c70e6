#include <pathkernel/train/adamax.h>
#include <pathkernel/train/decay.h>
#include <pathkernel/train/realised.h>

#include <ATen/ops/maximum.h>

#include <cmath>

namespace pathkernel {

Adamax::Adamax(OptimizerSettings settings, const NamedTensors& parameters) : PerParameter(std::move(settings), {"exp_avg", "exp_inf", "step"}, parameters) {}

AdamaxStep Adamax::update(size_t i, const Tensor& w, const Tensor& gradient, double lr) {
  const auto& s = settings_;
  state_.begin(i, w);
  Tensor& m = state_.of("exp_avg", i);
  Tensor& v = state_.of("exp_inf", i);
  state_.of("step", i).add_(1);

  const Tensor u = Decay(s).apply(w, gradient, lr);
  m.lerp_(u, 1 - s.beta1);
  v.mul_(s.beta2);
  at::maximum_out(v, v, u.abs().add_(s.eps));
  const AdamaxStep r = step_of(i, lr);
  w.addcdiv_(m, v, -r.step_size);
  return r;
}

AdamaxStep Adamax::step_of(size_t i, double lr) const { return {lr, lr / (1 - std::pow(settings_.beta1, state_.of("step", i).item<double>()))}; }

LinearForm Adamax::form(size_t i, const AdamaxStep& r) const {
  const Tensor& v = state_.of("exp_inf", i);
  LinearForm form;
  put_lerp_into(form, settings_.beta1, v.scalar_type());
  form.D.diagonal = v.to(at::kDouble).reciprocal().mul_(realised(r.step_size, v.scalar_type()));
  Decay(settings_).put_into(form, r.lr, v.scalar_type());
  return form;
}

}  // namespace pathkernel
