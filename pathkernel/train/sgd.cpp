#include <pathkernel/train/decay.h>
#include <pathkernel/train/realised.h>
#include <pathkernel/train/sgd.h>

namespace pathkernel {
namespace {

std::vector<std::string> kinds_of(const OptimizerSettings& s) {
  if (s.momentum == 0) return {};
  return {"momentum_buffer"};
}

/// Theory 2.1 with the numbers the kernels used. `first`: the buffer was made from u itself.
LinearForm form_of(const OptimizerSettings& s, double lr, bool first, at::ScalarType dtype) {
  const auto r = [&](double number) { return realised(number, dtype); };
  LinearForm form;
  Decay(s).put_into(form, lr, dtype);
  if (s.momentum == 0) {
    form.E.number = r(lr);
    return form;
  }
  form.mu = r(s.momentum);
  form.N.number = first ? 1.0 : r(1 - s.dampening);
  form.D.number = s.nesterov ? r(lr) * r(s.momentum) : r(lr);
  form.E.number = s.nesterov ? r(lr) : 0.0;
  return form;
}

}  // namespace

Sgd::Sgd(OptimizerSettings settings, const NamedTensors& parameters) : Optimizer(settings, kinds_of(settings), parameters) {}

void Sgd::step(const Tensors& parameters, const Tensors& gradients, double lr) {
  begin(parameters.size());
  for (size_t i = 0; i < parameters.size(); ++i) {
    if (!gradients[i].defined()) continue;
    const Tensor& w = parameters[i];
    Tensor u = Decay(settings_).apply(w, gradients[i], lr);

    bool first = false;
    if (settings_.momentum != 0) {
      Tensor& m = state_.of("momentum_buffer", i);
      first = !m.defined();
      if (first) m = u.detach().clone();
      else m.mul_(settings_.momentum).add_(u, 1 - settings_.dampening);
      u = settings_.nesterov ? u.add(m, settings_.momentum) : m;
    }
    w.add_(u, -lr);
    forms_[i] = form_of(settings_, lr, first, w.scalar_type());
  }
}

void Sgd::note(size_t i, double lr, bool first) { forms_[i] = form_of(settings_, lr, first, state_.dtype(i)); }

}  // namespace pathkernel
