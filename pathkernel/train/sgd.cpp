#include <pathkernel/train/decay.h>
#include <pathkernel/train/realised.h>
#include <pathkernel/train/sgd.h>

namespace pathkernel {
namespace {

std::vector<std::string> kinds_of(const OptimizerSettings& s) {
  if (s.momentum == 0) return {};
  return {"momentum_buffer"};
}

}  // namespace

Sgd::Sgd(OptimizerSettings settings, const NamedTensors& parameters) : PerParameter(settings, kinds_of(settings), parameters) {}

SgdStep Sgd::update(size_t i, const Tensor& w, const Tensor& gradient, double lr) {
  const auto& s = settings_;
  Tensor u = Decay(s).apply(w, gradient, lr);
  SgdStep r{lr, false};
  if (s.momentum != 0) {
    Tensor& m = state_.of("momentum_buffer", i);
    r.first = !m.defined();
    if (r.first) m = u.detach().clone();
    else m.mul_(s.momentum).add_(u, 1 - s.dampening);
    u = s.nesterov ? u.add(m, s.momentum) : m;
  }
  w.add_(u, -lr);
  return r;
}

// Theory 2.1 with the numbers the kernels used
LinearForm Sgd::form(size_t i, const SgdStep& r) const {
  const auto& s = settings_;
  const auto number = [dtype = state_.dtype(i)](double x) { return realised(x, dtype); };
  LinearForm form;
  Decay(s).put_into(form, r.lr, state_.dtype(i));
  if (s.momentum == 0) {
    form.E.number = number(r.lr);
    return form;
  }
  form.mu = number(s.momentum);
  form.N.number = r.first ? 1.0 : number(1 - s.dampening);
  form.D.number = s.nesterov ? number(r.lr) * number(s.momentum) : number(r.lr);
  form.E.number = s.nesterov ? number(r.lr) : 0.0;
  return form;
}

}  // namespace pathkernel
