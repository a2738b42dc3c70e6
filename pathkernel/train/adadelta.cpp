#include <pathkernel/train/adadelta.h>
#include <pathkernel/train/decay.h>
#include <pathkernel/train/realised.h>

namespace pathkernel {

Adadelta::Adadelta(OptimizerSettings settings, const NamedTensors& parameters) : Optimizer(std::move(settings), {"square_avg", "acc_delta", "step"}, parameters) {}

void Adadelta::step(const Tensors& parameters, const Tensors& gradients, double lr) {
  const auto& s = settings_;
  begin(parameters.size());
  for (size_t i = 0; i < parameters.size(); ++i) {
    if (!gradients[i].defined()) continue;
    const Tensor& w = parameters[i];
    state_.begin(i, w);
    Tensor& v = state_.of("square_avg", i);
    Tensor& a = state_.of("acc_delta", i);
    state_.of("step", i).add_(1);
    last_[i].delta_before = a.clone();
    note(i, lr, false);

    const Tensor u = Decay(s).apply(w, gradients[i], lr);
    v.mul_(s.alpha).addcmul_(u, u, 1 - s.alpha);
    const Tensor delta = a.add(s.eps).sqrt_().div_(v.add(s.eps).sqrt_()).mul_(u);
    a.mul_(s.alpha).addcmul_(delta, delta, 1 - s.alpha);
    w.add_(delta, -lr);
  }
}

void Adadelta::note(size_t i, double lr, bool) { last_[i].lr = lr; }

void Adadelta::adopt_state(const NamedTensors& by_kind) {
  Optimizer::adopt_state(by_kind);
  for (const auto& [kind, tensor] : by_kind)
    if (kind == "acc_delta_before") last_[0].delta_before = tensor;
}

std::vector<LinearForm> Adadelta::linear_form() const {
  std::vector<LinearForm> forms(last_.size(), unchanged());
  for (size_t i = 0; i < last_.size(); ++i) {
    const auto& [lr, before] = last_[i];
    if (!before.defined()) continue;
    LinearForm form;
    const at::ScalarType dtype = before.scalar_type();
    const Tensor std = state_.of("square_avg", i).add(settings_.eps).sqrt_();
    form.E.diagonal = before.add(settings_.eps).sqrt_().to(at::kDouble).div_(std.to(at::kDouble)).mul_(realised(lr, dtype));
    Decay(settings_).put_into(form, lr, dtype);
    forms[i] = std::move(form);
  }
  return forms;
}

}  // namespace pathkernel
