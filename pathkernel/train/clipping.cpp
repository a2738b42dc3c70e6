#include <pathkernel/train/clipping.h>

#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/where.h>

namespace pathkernel {
namespace {

/// κ as a tensor without dimensions, in torch's order of operations: norms of the parts, norm of the norms, reciprocal, product.
Tensor norm_factor(const Tensors& gradients, double most) {
  Tensors norms;
  for (const Tensor& g : gradients)
    if (g.defined()) norms.push_back(at::linalg_vector_norm(g));
  const Tensor norm = at::linalg_vector_norm(at::stack(norms));
  return norm.add(1e-6).reciprocal().mul(most).clamp({}, 1.0);
}

bool all_undefined(const Tensors& tensors) {
  for (const Tensor& t : tensors)
    if (t.defined()) return false;
  return true;
}

}  // namespace

Clipped::Clipped(std::unique_ptr<Optimizer> inner) : Optimizer(inner->settings(), {}, {}), inner_(std::move(inner)) {}

void Clipped::step(const Tensors& parameters, const Tensors& gradients, double lr) {
  raw_ = gradients;
  kappa_ = 1;
  if (settings_.clip_norm > 0 && !all_undefined(gradients)) {
    const Tensor factor = norm_factor(gradients, settings_.clip_norm);
    kappa_ = factor.item<double>();
    for (Tensor& g : raw_)
      if (g.defined()) g = g.mul(factor);
  }
  clipped_ = raw_;
  if (settings_.clip_value > 0)
    for (Tensor& g : clipped_)
      if (g.defined()) g = g.clamp(-settings_.clip_value, settings_.clip_value);
  inner_->step(parameters, clipped_, lr);
}

std::vector<LinearForm> Clipped::linear_form() const {
  std::vector<LinearForm> forms = inner_->linear_form();
  for (size_t i = 0; i < forms.size(); ++i) {
    if (!raw_[i].defined()) continue;
    forms[i].kappa *= kappa_;  // −1 where it climbs
    if (clipped_[i].equal(raw_[i])) continue;
    const Tensor raw = raw_[i].to(at::kDouble), within = raw.eq(0);
    forms[i].M = at::where(within, 1, clipped_[i].to(at::kDouble) / at::where(within, 1, raw));
  }
  return forms;
}

}  // namespace pathkernel
