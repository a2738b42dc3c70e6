#include <pathkernel/train/adagrad.h>
#include <pathkernel/train/decay.h>
#include <pathkernel/train/realised.h>

namespace pathkernel {

Adagrad::Adagrad(OptimizerSettings settings, const NamedTensors& parameters)
    : Optimizer(std::move(settings), {"sum", "step"}, parameters) {}

void Adagrad::step(const Tensors& parameters, const Tensors& gradients, double lr) {
  const auto& s = settings_;
  begin(parameters.size());
  for (size_t i = 0; i < parameters.size(); ++i) {
    if (!gradients[i].defined()) continue;
    const Tensor& w = parameters[i];
    state_.begin(i, w, s.initial_accumulator);
    Tensor& sum = state_.of("sum", i);
    Tensor& count = state_.of("step", i);
    count.add_(1);
    const Tensor u = Decay(s).apply(w, gradients[i], lr);
    note(i, lr, false);
    sum.addcmul_(u, u, 1);
    w.addcdiv_(u, denominator(i), -last_[i].decayed_lr);
  }
}

void Adagrad::note(size_t i, double lr, bool) {
  const double t = state_.of("step", i).item<double>();
  last_[i] = {true, lr, lr / (1 + (t - 1) * settings_.lr_decay)};
}

Tensor Adagrad::denominator(size_t i) const { return state_.of("sum", i).sqrt().add_(settings_.eps); }

std::vector<LinearForm> Adagrad::linear_form() const {
  std::vector<LinearForm> forms(last_.size(), unchanged());
  for (size_t i = 0; i < last_.size(); ++i) {
    if (!last_[i].updated) continue;
    LinearForm form;
    const at::ScalarType dtype = state_.of("sum", i).scalar_type();
    form.E.diagonal = denominator(i).to(at::kDouble).reciprocal_().mul_(realised(last_[i].decayed_lr, dtype));
    Decay(settings_).put_into(form, last_[i].lr, dtype);
    forms[i] = std::move(form);
  }
  return forms;
}

}  // namespace pathkernel
