#include <pathkernel/train/adadelta.h>
#include <pathkernel/train/decay.h>
#include <pathkernel/train/realised.h>

namespace pathkernel {

Adadelta::Adadelta(OptimizerSettings settings, const NamedTensors& parameters) : PerParameter(std::move(settings), {"square_avg", "acc_delta", "step"}, parameters) {}

AdadeltaStep Adadelta::update(size_t i, const Tensor& w, const Tensor& gradient, double lr) {
  const auto& s = settings_;
  state_.begin(i, w);
  Tensor& v = state_.of("square_avg", i);
  Tensor& a = state_.of("acc_delta", i);
  state_.of("step", i).add_(1);
  const AdadeltaStep r{lr, a.clone()};

  const Tensor u = Decay(s).apply(w, gradient, lr);
  v.mul_(s.alpha).addcmul_(u, u, 1 - s.alpha);
  const Tensor delta = a.add(s.eps).sqrt_().div_(v.add(s.eps).sqrt_()).mul_(u);
  a.mul_(s.alpha).addcmul_(delta, delta, 1 - s.alpha);
  w.add_(delta, -lr);
  return r;
}

AdadeltaStep Adadelta::adopted(const NamedTensors& state, double lr, bool) { return {lr, tensor_named(state, "acc_delta_before")}; }

LinearForm Adadelta::form(size_t i, const AdadeltaStep& r) const {
  LinearForm form;
  const at::ScalarType dtype = r.delta_before.scalar_type();
  const Tensor std = state_.of("square_avg", i).add(settings_.eps).sqrt_();
  form.E.diagonal = r.delta_before.add(settings_.eps).sqrt_().to(at::kDouble).div_(std.to(at::kDouble)).mul_(realised(r.lr, dtype));
  Decay(settings_).put_into(form, r.lr, dtype);
  return form;
}

}  // namespace pathkernel
