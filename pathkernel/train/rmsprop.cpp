#include <pathkernel/train/decay.h>
#include <pathkernel/train/realised.h>
#include <pathkernel/train/rmsprop.h>

namespace pathkernel {
namespace {

std::vector<std::string> kinds_of(const OptimizerSettings& s) {
  std::vector<std::string> kinds = {"square_avg"};
  if (s.centered) kinds.emplace_back("grad_avg");
  if (s.momentum != 0) kinds.emplace_back("momentum_buffer");
  return kinds;
}

}  // namespace

RMSprop::RMSprop(OptimizerSettings settings, const NamedTensors& parameters)
    : PerParameter(settings, kinds_of(settings), parameters) {}

RMSpropStep RMSprop::update(size_t i, const Tensor& w, const Tensor& gradient, double lr) {
  const auto& s = settings_;
  state_.begin(i, w);
  const Tensor u = Decay(s).apply(w, gradient, lr);

  state_.of("square_avg", i).mul_(s.alpha).addcmul_(u, u, 1 - s.alpha);
  if (s.centered) state_.of("grad_avg", i).lerp_(u, 1 - s.alpha);
  const Tensor den = denominator(i);
  if (s.momentum != 0) w.add_(state_.of("momentum_buffer", i).mul_(s.momentum).addcdiv_(u, den), -lr);
  else w.addcdiv_(u, den, -lr);
  return {lr};
}

Tensor RMSprop::denominator(size_t i) const {
  const Tensor& v = state_.of("square_avg", i);
  if (!settings_.centered) return v.sqrt().add_(settings_.eps);
  const Tensor& mean = state_.of("grad_avg", i);
  return v.addcmul(mean, mean, -1).sqrt_().add_(settings_.eps);
}

LinearForm RMSprop::form(size_t i, const RMSpropStep& r) const {
  LinearForm form;
  const at::ScalarType dtype = state_.of("square_avg", i).scalar_type();
  const Tensor one_over = denominator(i).to(at::kDouble).reciprocal_();
  const double lr = realised(r.lr, dtype);
  if (settings_.momentum != 0) {
    form.mu = realised(settings_.momentum, dtype);
    form.N.diagonal = one_over;
    form.D.number = lr;
  } else {
    form.E.diagonal = one_over * lr;
  }
  Decay(settings_).put_into(form, r.lr, dtype);
  return form;
}

Tensors RMSprop::memory() const { return settings_.momentum != 0 ? state_.or_zeros("momentum_buffer") : Tensors(); }

}  // namespace pathkernel
