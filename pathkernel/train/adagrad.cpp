#include <pathkernel/train/adagrad.h>
#include <pathkernel/train/decay.h>
#include <pathkernel/train/realised.h>

namespace pathkernel {

Adagrad::Adagrad(OptimizerSettings settings, const NamedTensors& parameters)
    : PerParameter(std::move(settings), {"sum", "step"}, parameters) {}

AdagradStep Adagrad::update(size_t i, const Tensor& w, const Tensor& gradient, double lr) {
  state_.begin(i, w, settings_.initial_accumulator);
  state_.of("step", i).add_(1);
  const Tensor u = Decay(settings_).apply(w, gradient, lr);
  const AdagradStep r = step_of(i, lr);
  state_.of("sum", i).addcmul_(u, u, 1);
  w.addcdiv_(u, denominator(i), -r.decayed_lr);
  return r;
}

AdagradStep Adagrad::step_of(size_t i, double lr) const {
  const double t = state_.of("step", i).item<double>();
  return {lr, lr / (1 + (t - 1) * settings_.lr_decay)};
}

Tensor Adagrad::denominator(size_t i) const { return state_.of("sum", i).sqrt().add_(settings_.eps); }

LinearForm Adagrad::form(size_t i, const AdagradStep& r) const {
  LinearForm form;
  const at::ScalarType dtype = state_.of("sum", i).scalar_type();
  form.E.diagonal = denominator(i).to(at::kDouble).reciprocal_().mul_(realised(r.decayed_lr, dtype));
  Decay(settings_).put_into(form, r.lr, dtype);
  return form;
}

}  // namespace pathkernel
