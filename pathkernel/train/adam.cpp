#include <pathkernel/train/adam.h>
#include <pathkernel/train/decay.h>
#include <pathkernel/train/realised.h>

#include <ATen/ops/maximum.h>

#include <cmath>

namespace pathkernel {
namespace {

std::vector<std::string> kinds_of(const OptimizerSettings& s) {
  if (s.amsgrad) return {"exp_avg", "exp_avg_sq", "max_exp_avg_sq", "step"};
  return {"exp_avg", "exp_avg_sq", "step"};
}

}  // namespace

Adam::Adam(OptimizerSettings settings, const NamedTensors& parameters) : PerParameter(settings, kinds_of(settings), parameters) {}

AdamStep Adam::update(size_t i, const Tensor& w, const Tensor& gradient, double lr) {
  const auto& s = settings_;
  state_.begin(i, w);
  Tensor& m = state_.of("exp_avg", i);
  Tensor& v = state_.of("exp_avg_sq", i);
  state_.of("step", i).add_(1);

  const Tensor u = Decay(s).apply(w, gradient, lr);
  m.lerp_(u, 1 - s.beta1);
  v.mul_(s.beta2).addcmul_(u, u, 1 - s.beta2);
  if (s.amsgrad) {
    Tensor& largest = state_.of("max_exp_avg_sq", i);
    at::maximum_out(largest, largest, v);
  }

  const AdamStep r = step_of(i, lr);
  w.addcdiv_(m, denominator(i, r), -r.step_size);
  return r;
}

AdamStep Adam::step_of(size_t i, double lr) const {
  const double t = state_.of("step", i).item<double>();
  const double bc1 = 1 - std::pow(settings_.beta1, t), bc2 = 1 - std::pow(settings_.beta2, t);
  return {lr, lr / bc1, std::pow(bc2, 0.5)};
}

Tensor Adam::denominator(size_t i, const AdamStep& r) const {
  const Tensor& v = state_.of(settings_.amsgrad ? "max_exp_avg_sq" : "exp_avg_sq", i);
  return v.sqrt().div(r.root_bc2).add_(settings_.eps);
}

LinearForm Adam::form(size_t i, const AdamStep& r) const {
  const at::ScalarType dtype = state_.of("exp_avg", i).scalar_type();
  LinearForm form;
  put_lerp_into(form, settings_.beta1, dtype);
  form.D.diagonal = denominator(i, r).to(at::kDouble).reciprocal_().mul_(realised(r.step_size, dtype));
  Decay(settings_).put_into(form, r.lr, dtype);
  return form;
}

}  // namespace pathkernel
