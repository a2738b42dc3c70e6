#include <pathkernel/train/realised.h>
#include <pathkernel/train/sgd.h>

#include <ATen/ops/zeros_like.h>

namespace pathkernel {
namespace {

/// Theory 2.1 with the numbers the kernels used. `first`: the buffer was made from u itself.
LinearForm form_of(const OptimizerSettings& s, double lr, bool first, at::ScalarType dtype) {
  const auto r = [&](double number) { return realised(number, dtype); };
  LinearForm form;
  form.omega_c = r(s.weight_decay);
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

Sgd::Sgd(OptimizerSettings settings, const NamedTensors& parameters)
    : Optimizer(std::move(settings)), parameters_(parameters), state_({"momentum_buffer"}, parameters) {}

void Sgd::step(const Tensors& parameters, const Tensors& gradients, double lr) {
  forms_.assign(parameters.size(), unchanged());
  for (size_t i = 0; i < parameters.size(); ++i) {
    if (!gradients[i].defined()) continue;
    const Tensor& w = parameters[i];
    Tensor u = gradients[i];
    if (settings_.weight_decay != 0) u = u.add(w, settings_.weight_decay);

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

Tensors Sgd::memory() const {
  if (settings_.momentum == 0) return {};
  Tensors memory;
  for (size_t i = 0; i < parameters_.size(); ++i) {
    const Tensor& m = state_.of("momentum_buffer", i);
    memory.push_back(m.defined() ? m : at::zeros_like(parameters_[i].tensor).detach());
  }
  return memory;
}

}  // namespace pathkernel
