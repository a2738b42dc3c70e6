#pragma once

#include <ATen/ops/cat.h>
#include <ATen/ops/norm.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>
#include <pathkernel/record/recording.h>

#include <cmath>
#include <string>
#include <vector>

// Theory 2.1's table once more, written from the theory and from checkpoints alone, for tests of what the optimizers say of themselves.
namespace pathkernel::testing {

inline Tensor flat(const Tensors& tensors) {
  std::vector<Tensor> parts;
  for (const Tensor& t : tensors) parts.push_back(t.detach().reshape(-1).to(at::kDouble));
  return at::cat(parts);
}

/// Theory 2.1's table. The states that stand in it are the checkpoint's after the step; `gradient` [P] is the batch's,
/// clipped.
struct Coefficients {
  double mu = 0;
  Tensor N, D, E;  // [P]
  double omega_c = 0, omega_d = 0;
};

/// All tensors of one kind of optimizer state, [P]; zeros where there are none yet.
inline Tensor state(const Checkpoint& checkpoint, const std::string& kind, int64_t P) {
  Tensors parts;
  for (const NamedTensor& t : checkpoint.optimizer)
    if (t.name.rfind(kind + "/", 0) == 0) parts.push_back(t.tensor);
  return parts.empty() ? at::zeros({P}, at::kDouble) : flat(parts);
}

/// κM of theory 2.1 for the batch's gradient [P].
inline Tensor clipping(const OptimizerSettings& o, const Tensor& gradient) {
  Tensor factor = at::ones_like(gradient);
  if (o.clip_norm > 0) factor = factor * std::min(1.0, o.clip_norm / (gradient.norm().item<double>() + 1e-6));
  if (o.clip_value == 0) return factor;
  const Tensor raw = gradient * factor;
  return at::where(raw.abs() > o.clip_value, o.clip_value / raw.abs(), 1) * factor;
}

inline Coefficients sgd_row(const OptimizerSettings& o, double lr, int64_t s, const Tensor& one) {
  const Tensor zero = one * 0;
  if (o.momentum == 0) return {0, zero, zero, one * lr};
  const double tau = s > 0 ? o.dampening : 0;
  return {o.momentum, one * (1 - tau), one * (o.nesterov ? lr * o.momentum : lr), o.nesterov ? one * lr : zero};
}

inline Coefficients adam_row(const OptimizerSettings& o, double lr, int64_t s, const Checkpoint& after, const Tensor& one) {
  const Tensor v = state(after, o.amsgrad ? "max_exp_avg_sq" : "exp_avg_sq", one.size(0));
  const double bc1 = 1 - std::pow(o.beta1, s + 1), bc2 = 1 - std::pow(o.beta2, s + 1);
  return {o.beta1, one * (1 - o.beta1), (lr / bc1) / (v.sqrt() / std::sqrt(bc2) + o.eps), one * 0};
}

inline Coefficients nadam_row(const OptimizerSettings& o, double lr, int64_t s, const Checkpoint& after, const Tensor& one) {
  const auto mu = [&](int64_t t) { return o.beta1 * (1 - 0.5 * std::pow(0.96, t * o.momentum_decay)); };
  double product = 1;  // Π μ_r up to this step: the stored one, which torch keeps in float32
  for (const NamedTensor& t : after.optimizer)
    if (t.name.rfind("mu_product/", 0) == 0) product = t.tensor.item<double>();
  double exact = 1;
  for (int64_t t = 1; t <= s + 1; ++t) exact *= mu(t);
  EXPECT_NEAR(product, exact, 1e-6 * exact);
  const Tensor den = (state(after, "exp_avg_sq", one.size(0)) / (1 - std::pow(o.beta2, s + 1))).sqrt() + o.eps;
  return {o.beta1, one * (1 - o.beta1), lr * mu(s + 2) / (1 - product * mu(s + 2)) / den, lr * (1 - mu(s + 1)) / (1 - product) / den};
}

inline Coefficients rmsprop_row(const OptimizerSettings& o, double lr, const Checkpoint& after, const Tensor& one) {
  const Tensor mean = state(after, "grad_avg", one.size(0)), den = (state(after, "square_avg", one.size(0)) - mean * mean).sqrt() + o.eps;
  if (o.momentum == 0) return {0, one * 0, one * 0, lr / den};
  return {o.momentum, 1 / den, one * lr, one * 0};
}

inline Coefficients radam_row(const OptimizerSettings& o, double lr, int64_t s, const Checkpoint& after, const Tensor& one) {
  const double t = s + 1, bc1 = 1 - std::pow(o.beta1, t), bc2 = 1 - std::pow(o.beta2, t), most = 2 / (1 - o.beta2) - 1;
  const double rho = most - 2 * t * (1 - bc2) / bc2;
  Coefficients row{o.beta1, one * (1 - o.beta1), one * (lr / bc1), one * 0};
  if (rho > 5) row.D = row.D * std::sqrt(bc2 * (rho - 4) * (rho - 2) * most / ((most - 4) * (most - 2) * rho)) / (state(after, "exp_avg_sq", one.size(0)).sqrt() + o.eps);
  return row;
}

inline Coefficients lion_row(const OptimizerSettings& o, double lr, const Checkpoint& before, const Tensor& gradient, const Tensor& one) {
  const Tensor c = o.beta1 * state(before, "exp_avg", one.size(0)) + (1 - o.beta1) * gradient;
  return {o.beta2, one * (1 - o.beta2), lr / c.abs() * (o.beta1 / o.beta2), lr / c.abs() * (1 - o.beta1 / o.beta2)};
}

inline Coefficients coefficients(const OptimizerSettings& o, double lr, int64_t s, const Checkpoint& before, const Checkpoint& after, const Tensor& gradient) {
  const Tensor one = gradient * 0 + 1;
  Coefficients row;
  if (o.name == "sgd") row = sgd_row(o, lr, s, one);
  else if (o.name == "adam" || o.name == "adamw") row = adam_row(o, lr, s, after, one);
  else if (o.name == "nadam") row = nadam_row(o, lr, s, after, one);
  else if (o.name == "rmsprop") row = rmsprop_row(o, lr, after, one);
  else if (o.name == "adagrad") row = {0, one * 0, one * 0, lr / (1 + s * o.lr_decay) / (state(after, "sum", one.size(0)).sqrt() + o.eps)};
  else if (o.name == "radam") row = radam_row(o, lr, s, after, one);
  else if (o.name == "adamax") row = {o.beta1, one * (1 - o.beta1), lr / (1 - std::pow(o.beta1, s + 1)) / state(after, "exp_inf", one.size(0)), one * 0};
  else if (o.name == "adadelta") row = {0, one * 0, one * 0, lr * (state(before, "acc_delta", one.size(0)) + o.eps).sqrt() / (state(after, "square_avg", one.size(0)) + o.eps).sqrt()};
  else row = lion_row(o, lr, before, gradient, one);
  const bool decoupled = o.decoupled || o.name == "adamw" || o.name == "lion";
  (decoupled ? row.omega_d : row.omega_c) = o.weight_decay;
  return row;
}

}  // namespace pathkernel::testing
