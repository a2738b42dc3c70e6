#include <pathkernel/core/error.h>
#include <pathkernel/train/decay.h>
#include <pathkernel/train/lion.h>
#include <pathkernel/train/realised.h>

#include <ATen/ops/where.h>

namespace pathkernel {

Lion::Lion(OptimizerSettings settings, const NamedTensors& parameters) : Optimizer(std::move(settings), {"exp_avg"}, parameters) {}

void Lion::step(const Tensors& parameters, const Tensors& gradients, double lr) {
  const auto& s = settings_;
  begin(parameters.size());
  for (size_t i = 0; i < parameters.size(); ++i) {
    if (!gradients[i].defined()) continue;
    const Tensor& w = parameters[i];
    state_.begin(i, w);
    Tensor& m = state_.of("exp_avg", i);
    const Tensor g = Decay(s).apply(w, gradients[i], lr);
    const Tensor c = m * s.beta1 + g * (1 - s.beta1);
    w.add_(c.sign(), -lr);
    m.mul_(s.beta2).add_(g, 1 - s.beta2);
    last_[i] = {c, lr};
  }
}

void Lion::note(size_t, double, bool) { throw InvariantViolated("lion: torch.optim has no such optimizer to take a step from"); }

std::vector<LinearForm> Lion::linear_form() const {
  const auto& s = settings_;
  std::vector<LinearForm> forms(last_.size(), unchanged());
  for (size_t i = 0; i < last_.size(); ++i) {
    const auto& [c, lr] = last_[i];
    if (!c.defined()) continue;
    LinearForm form;
    const auto r = [dtype = c.scalar_type()](double number) { return realised(number, dtype); };
    const Tensor size = c.to(at::kDouble).abs();
    const Tensor lr_over = at::where(size > 0, r(lr) / size, 0);  // sign(0) = 0: nothing moved there
    form.mu = r(s.beta2);
    form.N.number = r(1 - s.beta2);
    const double a = r(s.beta1) / form.mu;
    form.D.diagonal = lr_over * a;
    form.E.diagonal = lr_over * (r(1 - s.beta1) - a * form.N.number);
    Decay(s).put_into(form, lr, c.scalar_type());
    forms[i] = std::move(form);
  }
  return forms;
}

}  // namespace pathkernel
