#include <pathkernel/core/error.h>
#include <pathkernel/train/decay.h>
#include <pathkernel/train/muon.h>
#include <pathkernel/train/realised.h>

#include <ATen/ops/addmm.h>
#include <ATen/ops/linalg_eigh.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/ones_like.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace pathkernel {
namespace {

bool is_tall(const Tensor& t) { return t.size(0) > t.size(1); }

double adjusted(double lr, const NewtonSchulz& n, const Tensor& w) {
  const double A = double(w.size(0)), B = double(w.size(1));
  return lr * (n.adjust_lr == "original" ? std::sqrt(std::max(1.0, A / B)) : 0.2 * std::sqrt(std::max(A, B)));
}

/// O, by torch's operations in torch's order.
Tensor orthogonalised(const Tensor& n, const OptimizerSettings& s) {
  const auto& [a, b, c, steps, _] = s.newton_schulz;
  Tensor X = n.to(at::kBFloat16, /*non_blocking=*/false, /*copy=*/true);
  if (is_tall(n)) X = X.t();
  X.div_(at::linalg_vector_norm(X, 2).clamp_min(s.eps));
  for (int64_t k = 0; k < steps; ++k) {
    const Tensor gram = at::matmul(X, X.t());
    X = at::addmm(X, at::addmm(gram, gram, gram, b, c), X, a, 1);
  }
  return is_tall(n) ? X.t() : X;
}

/// S of the n of this step, in float64.
SideMatrix exact_matrix(const Tensor& n, const OptimizerSettings& s) {
  const auto& [a, b, c, steps, _] = s.newton_schulz;
  const Tensor exact = n.to(at::kDouble), norm = at::linalg_vector_norm(exact, 2).clamp_min(s.eps), X = (is_tall(n) ? exact.t() : exact) / norm;
  const auto [squares, U] = at::linalg_eigh(at::matmul(X, X.t()));  // σ² of n/‖n‖
  Tensor slope = at::ones_like(squares);                            // what the iteration has made of a singular value, over it
  for (int64_t k = 0; k < steps; ++k) {
    const Tensor square = squares * slope * slope;
    slope = slope * (square * (square * c + b) + a);
  }
  return {at::matmul(U * (slope / norm), U.t()), is_tall(n)};
}

}  // namespace

Muon::Muon(OptimizerSettings settings, const NamedTensors& parameters) : PerParameter(std::move(settings), {"momentum_buffer"}, parameters) {
  for (const NamedTensor& p : parameters)
    if (p.tensor.dim() != 2)
      throw InvalidInput(fmt::format("muon: it multiplies matrices, but parameter '{}' is {}; give that one to another optimizer (from Python, "
                                     "record(optimizer=[muon, adamw]))", p.name, describe(p.tensor)));
}

MuonStep Muon::update(size_t i, const Tensor& w, const Tensor& gradient, double lr) {
  state_.begin(i, w);
  state_.of("momentum_buffer", i).lerp_(gradient, 1 - settings_.momentum);
  MuonStep r = step_of(i, gradient, lr);
  Decay(settings_).apply(w, gradient, lr);
  w.add_(r.O, -adjusted(lr, settings_.newton_schulz, w));
  return r;
}

MuonStep Muon::step_of(size_t i, const Tensor& gradient, double lr) const {
  const Tensor& m = state_.of("momentum_buffer", i);
  const Tensor n = settings_.nesterov ? gradient.lerp(m, settings_.momentum) : m;
  return {n, orthogonalised(n, settings_), lr};
}

MuonStep Muon::adopted(const NamedTensors& state, double lr, bool) { return step_of(0, tensor_named(state, "gradient"), lr); }

LinearForm Muon::form(size_t, const MuonStep& r) const {
  LinearForm form;
  const at::ScalarType dtype = r.n.scalar_type();
  const double eta = realised(adjusted(r.lr, settings_.newton_schulz, r.n), dtype);
  const Lerp nesterov = settings_.nesterov ? realised_lerp(settings_.momentum, dtype) : Lerp{0, 1};  // of g and of m
  put_lerp_into(form, settings_.momentum, dtype);
  form.D.number = eta * nesterov.of_b;
  form.E.number = eta * nesterov.of_a;
  form.S = exact_matrix(r.n, settings_);
  const Tensor exact = r.n.to(at::kDouble).reshape(-1);
  form.beyond = (r.O.to(at::kDouble).reshape(-1) - form.S.times(exact)) * eta;
  Decay(settings_).put_into(form, r.lr, dtype);
  return form;
}

}  // namespace pathkernel
