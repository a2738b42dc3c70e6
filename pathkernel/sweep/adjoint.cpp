#include <pathkernel/sweep/adjoint.h>

#include <ATen/ops/matmul.h>
#include <ATen/ops/zeros.h>
#include <pathkernel/tangent/kernels/rank_one.h>

namespace pathkernel {
namespace {

void add(Tensor& sum, const Tensor& part) { sum = sum.defined() ? sum + part : part; }

/// G·v [n] for a flat vector v [W].
Tensor along(const FactorList& G, const Tensor& v, int64_t n) { return contract(G, v.unsqueeze(0), n).squeeze(1); }

}  // namespace

Tensor& Adjoint::dense(std::vector<Tensor>& states, size_t l, int64_t numbers) {
  if (!states[l].defined()) states[l] = at::zeros({n_, numbers}, options_);
  return states[l];
}

StepAccount Adjoint::step(const StepTrace& trace, const FactorSet& G, const Tensors& buffer_change) {
  const size_t L = trace.weights.size();
  p_.resize(L);
  q_.resize(L);
  carried_.resize(L, 1);
  StepAccount account;
  account.draws.resize(L);
  account.kernel.resize(L);
  account.decay = at::zeros({n_}, options_.dtype(at::kDouble));
  account.rounding = at::zeros({n_}, options_.dtype(at::kDouble));
  account.buffers = at::zeros({n_}, options_.dtype(at::kDouble));
  for (size_t l = 0; l < L; ++l) step_parameter(trace, l, G.parameters[l], account);
  for (size_t b = 0; b < buffer_change.size(); ++b) {
    const FactorList& list = G.parameters[L + b];
    if (!list.empty() && buffer_change[b].defined()) account.buffers.add_(along(list, buffer_change[b], n_));
  }
  return account;
}

// theory 2.2 for one parameter:   y = G + q;  p ← p − D∘y;  λ = N∘p − E∘y;  z = ω^c λ − η ω^d y;  p ← μ p
void Adjoint::step_parameter(const StepTrace& trace, size_t l, const FactorList& G, StepAccount& account) {
  const LinearForm& f = trace.form[l];
  const int64_t W = trace.weights[l].numel(), B = trace.gradients.examples;
  const FactorList& g = trace.gradients.parameters[l];
  const FactorList* J = trace.output_gradients.parameters.empty() ? nullptr : &trace.output_gradients.parameters[l];
  const Tensor &rho = trace.rounding[l], &rho_m = trace.memory_rounding[l];
  const bool remembers = f.has_memory() || p_[l].defined();
  Tensor& q = q_[l];

  const bool diagonal = f.N.is_diagonal() || f.E.is_diagonal();
  // Heavy ball and Adam with decay: λ = N p alone, and z needs no y written out, so that p and q take their step together.
  const bool together = f.has_memory() && f.has_decay() && convention_ == Convention::propagate && f.E.is_zero() && !diagonal;
  if (together) {
    const double of_y = -f.eta_omega_d;
    const DecayPass pass{carried_[l], f.D.number, f.D.diagonal, 1 + of_y, of_y, f.omega_c * f.N.number, rho_m, rho};
    account.rounding.add_(accumulate_with_decay(dense(p_, l, W), dense(q_, l, W), G, pass));
  } else {
    // p ← p − D∘(G + q);  rounding takes p·ρ^m from the same pass
    if (remembers) {
      Tensor& p = dense(p_, l, W);
      Tensor dots = accumulate(p, carried_[l], G, -1, f.D, q.defined() ? Tensor() : rho_m);
      if (q.defined()) dots = add_scaled(p, 1, q, f.D.is_diagonal() ? -1 : -f.D.number, f.D.is_diagonal() ? f.D.diagonal : Tensor(), rho_m);
      if (dots.defined()) account.rounding.add_(dots);
    }
    if (q.defined()) account.rounding.add_(at::matmul(q, rho));
  }
  // rounding = y·ρ + p·ρ^m
  account.rounding.add_(along(G, rho, n_));

  Tensor lambda;      // dense only where a diagonal stands in N or E, or decay needs it
  const auto product = [&](const FactorList& rows) {  // ⟨λ, row⟩ [B, n]
    if (diagonal) return contract(rows, lambda, B);
    Tensor sum;
    if (f.has_memory()) add(sum, contract(rows, p_[l], B) * f.N.number);
    if (!f.E.is_zero()) {
      add(sum, inner(rows, G, B, n_) * -f.E.number);
      if (q.defined()) add(sum, contract(rows, q, B) * -f.E.number);
    }
    return sum;
  };
  if (diagonal) {
    lambda = at::zeros({n_, W}, options_);
    if (f.has_memory()) add_scaled(lambda, 1, p_[l], f.N.is_diagonal() ? 1 : f.N.number, f.N.diagonal);
    if (!f.E.is_zero()) {
      accumulate(lambda, 1, G, -1, f.E);
      if (q.defined()) add_scaled(lambda, 1, q, f.E.is_diagonal() ? -1 : -f.E.number, f.E.diagonal);
    }
  }
  if (!g.empty()) account.draws[l] = product(g);
  if (J != nullptr && !J->empty()) account.kernel[l] = product(*J);

  // z = ω^c λ − η ω^d y:  B: q ← q + z,  A: decay += z·w
  if (f.has_decay() && !together) {
    const double of_y = -(f.omega_c * (diagonal ? 0 : f.E.number)) - f.eta_omega_d;  // z = ω^c N p + of_y·y, or ω^c λ + of_y·y
    if (convention_ == Convention::ledger) {
      const Tensor w = trace.weights[l].detach().to(options_.dtype()).reshape(-1);
      account.decay.add_(along(G, w, n_) * of_y);
      if (f.omega_c != 0 && diagonal) account.decay.add_(at::matmul(lambda, w) * f.omega_c);
      else if (f.omega_c != 0 && f.has_memory()) account.decay.add_(at::matmul(p_[l], w) * (f.omega_c * f.N.number));
    } else {
      dense(q_, l, W);
      accumulate(q, 1 + of_y, G, of_y, {1, {}});
      if (f.omega_c != 0 && diagonal) q.add_(lambda, f.omega_c);
      else if (f.omega_c != 0 && f.has_memory()) q.add_(p_[l], f.omega_c * f.N.number);
    }
  }
  carried_[l] = remembers ? f.mu : 1;
}

Tensor Adjoint::memory_jump(const Tensors& jump) const {
  Tensor sum = at::zeros({n_}, options_.dtype(at::kDouble));
  for (size_t l = 0; l < jump.size() && l < p_.size(); ++l) {
    if (p_[l].defined()) sum.add_(at::matmul(p_[l], jump[l]) * carried_[l]);
  }
  return sum;
}

Tensor Adjoint::initial_pull(const Tensors& initial_weights) const {
  Tensor sum = at::zeros({n_}, options_.dtype(at::kDouble));
  for (size_t l = 0; l < q_.size(); ++l) {
    if (q_[l].defined()) sum.add_(at::matmul(q_[l], initial_weights[l].detach().to(options_.dtype()).reshape(-1)));
  }
  return sum;
}

int64_t Adjoint::numbers_per_query(const std::vector<LinearForm>& form, const Tensors& weights, Convention convention) {
  int64_t numbers = 0;
  for (size_t l = 0; l < form.size(); ++l) {
    const int64_t states = (form[l].has_memory() ? 1 : 0) + (form[l].has_decay() && convention == Convention::propagate ? 1 : 0) +
                           (form[l].N.is_diagonal() || form[l].E.is_diagonal() ? 1 : 0);
    numbers += states * weights[l].numel();
  }
  return numbers;
}

}  // namespace pathkernel
