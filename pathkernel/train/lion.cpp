#include <pathkernel/core/error.h>
#include <pathkernel/train/decay.h>
#include <pathkernel/train/lion.h>
#include <pathkernel/train/realised.h>

#include <ATen/ops/where.h>

namespace pathkernel {

Lion::Lion(OptimizerSettings settings, const NamedTensors& parameters) : PerParameter(std::move(settings), {"exp_avg"}, parameters) {}

LionStep Lion::update(size_t i, const Tensor& w, const Tensor& gradient, double lr) {
  const auto& s = settings_;
  state_.begin(i, w);
  Tensor& m = state_.of("exp_avg", i);
  const Tensor g = Decay(s).apply(w, gradient, lr);
  const Tensor c = m * s.beta1 + g * (1 - s.beta1);
  w.add_(c.sign(), -lr);
  m.mul_(s.beta2).add_(g, 1 - s.beta2);
  return {c, lr};
}

LionStep Lion::adopted(const NamedTensors&, double, bool) { throw InvariantViolated("lion: torch.optim has no such optimizer to take a step from"); }

LinearForm Lion::form(size_t, const LionStep& r) const {
  LinearForm form;
  const auto number = [dtype = r.c.scalar_type()](double x) { return realised(x, dtype); };
  const Tensor size = r.c.to(at::kDouble).abs();
  const Tensor lr_over = at::where(size > 0, number(r.lr) / size, 0);  // sign(0) = 0: nothing moved there
  form.mu = number(settings_.beta2);
  form.N.number = number(1 - settings_.beta2);
  const double a = number(settings_.beta1) / form.mu;
  form.D.diagonal = lr_over * a;
  form.E.diagonal = lr_over * (number(1 - settings_.beta1) - a * form.N.number);
  Decay(settings_).put_into(form, r.lr, r.c.scalar_type());
  return form;
}

}  // namespace pathkernel
