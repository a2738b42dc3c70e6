#include <pathkernel/sweep/adjoint.h>

#include <ATen/ops/matmul.h>
#include <ATen/ops/zeros.h>
#include <pathkernel/core/error.h>
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
  e_.resize(L);
  const auto f64 = options_.dtype(at::kDouble);
  StepAccount account;
  account.draws = at::zeros({trace.draws(), n_}, f64);
  account.by_parameter = at::zeros({int64_t(L), n_}, f64);
  if (!trace.passes.front().output_gradients.parameters.empty()) account.kernel = at::zeros({trace.draws(), n_}, f64);
  account.decay = at::zeros({n_}, f64);
  account.regulariser = at::zeros({n_}, f64);
  account.rounding = at::zeros({n_}, f64);
  account.buffers = at::zeros({n_}, f64);
  const bool coupled = std::any_of(trace.passes.begin(), trace.passes.end(), [](const Pass& pass) { return pass.coupled != nullptr; });
  lambda_.assign(coupled ? L : 0, Tensor());
  const FactorList none;  // the average's adjoint holds all of y in q
  for (size_t l = 0; l < L; ++l) {
    if (!trace.average.empty()) take_average(trace, l, G.parameters[l], account);
    step_parameter(trace, l, trace.average.empty() ? G.parameters[l] : none, account);
  }
  if (coupled) book_coupled(trace, account);
  for (size_t b = 0; b < buffer_change.size(); ++b) {
    const FactorList& list = G.parameters[L + b];
    if (!list.empty() && buffer_change[b].defined()) account.buffers.add_(along(list, buffer_change[b], n_));
  }
  if (statistics_) book_statistics(trace, G, account);
  return account;
}

// theory 2.2 for one parameter:   y = G + q;  p ← p − D∘y;  λ = N∘p − E∘y;  c += κ⟨M∘λ, g⟩;  z = ω^c λ − η ω^d y;  p ← μ p
// With a matrix S in the linear form, p and λ take Sᵀy in y's place.
void Adjoint::step_parameter(const StepTrace& trace, size_t l, const FactorList& G, StepAccount& account) {
  const LinearForm& f = trace.form[l];
  const bool together = take_together(trace, l, G, account);
  account.rounding.add_(along(G, trace.rounding[l], n_));
  if (q_[l].defined() && !together) account.rounding.add_(at::matmul(q_[l], trace.rounding[l]));
  const Pull y = pull(f, G, q_[l]);
  if (f.has_memory() && !together) take_memory(f, l, y, trace.weights[l].numel());
  const bool written = f.N.is_diagonal() || f.E.is_diagonal() || f.M.defined() || !lambda_.empty();
  const Tensor dense_lambda = written ? lambda(f, l, y, trace.weights[l].numel()) : Tensor();
  if (!lambda_.empty()) {
    const Tensor clipped = f.M.defined() ? dense_lambda * f.M : dense_lambda;
    lambda_[l] = f.kappa == 1 ? clipped : clipped * f.kappa;
  }
  book(trace, l, y, dense_lambda, account);
  if (f.has_decay() && !together) decay(trace, l, G, dense_lambda, account);
  p_[l].carry(f.mu);
}

// theory 2.5:   a = Ḡ + e;  y = q + (1−ρ)a;  e ← e − (1−ρ)a.  Rounding takes a·ρ^w̄.
void Adjoint::take_average(const StepTrace& trace, size_t l, const FactorList& G, StepAccount& account) {
  const int64_t W = trace.weights[l].numel();
  Tensor &e = dense(e_, l, W), &q = dense(q_, l, W);
  Tensor a = e.clone();
  account.rounding.add_(accumulate(a, 1, G, 1, {1, {}}, trace.average_rounding[l]));
  q.add_(a, trace.share_of_new);
  e.sub_(a, trace.share_of_new);
}

// Heavy ball and Adam with decay: λ = N p alone, and z needs no y written out, so that p and q take their step in one pass.
bool Adjoint::take_together(const StepTrace& trace, size_t l, const FactorList& G, StepAccount& account) {
  const LinearForm& f = trace.form[l];
  const int64_t W = trace.weights[l].numel();
  if (!f.has_memory() || !f.has_decay() || convention_ != Convention::propagate || !f.E.is_zero() || f.N.is_diagonal() || f.S.defined()) return false;
  const double of_y = -f.eta_omega_d;
  MemoryAdjoint& p = memory(l, W);
  const MemoryAdjoint::Written written = p.written();
  const DecayPass pass{written.carried, f.D.number, f.D.diagonal, 1 + of_y, of_y, f.omega_c * f.N.number, trace.rounding[l]};
  account.rounding.add_(accumulate_with_decay(written.numbers, dense(q_, l, W), G, pass));
  p.settled();
  return true;
}

MemoryAdjoint& Adjoint::memory(size_t l, int64_t numbers) {
  if (p_[l].numbers() == 0) p_[l] = MemoryAdjoint(n_, numbers, options_);
  return p_[l];
}

// p ← p − D∘y
void Adjoint::take_memory(const LinearForm& f, size_t l, const Pull& y, int64_t numbers) {
  MemoryAdjoint& p = memory(l, numbers);
  p.push(y.factored, f.D, batch_, f.mu);
  if (y.dense.defined()) p.push(y.dense, f.D);
}

/// λ = N∘p − E∘y written out, [n, W].
Tensor Adjoint::lambda(const LinearForm& f, size_t l, const Pull& y, int64_t numbers) {
  Tensor lambda = at::zeros({n_, numbers}, options_);
  if (f.has_memory()) {
    const MemoryAdjoint::Written p = p_[l].written();
    add_scaled(lambda, 1, p.numbers, (f.N.is_diagonal() ? 1 : f.N.number) * p.carried, f.N.diagonal);
  }
  if (f.E.is_zero()) return lambda;
  accumulate(lambda, 1, y.factored, -1, f.E);
  if (y.dense.defined()) add_scaled(lambda, 1, y.dense, f.E.is_diagonal() ? -1 : -f.E.number, f.E.diagonal);
  return lambda;
}

/// κ⟨M∘λ, row⟩ for rows of per-example gradients, [count, n]; λ stays factored where it can.
Tensor Adjoint::product(const LinearForm& f, size_t l, const Pull& y, const Tensor& lambda, const FactorList& rows, int64_t count) const {
  if (lambda.defined()) return contract(rows, f.M.defined() ? lambda * f.M : lambda, count) * f.kappa;
  Tensor sum;
  if (f.has_memory() && p_[l].defined()) add(sum, p_[l].product(rows, count).mul_(f.kappa * f.N.number));
  if (!f.E.is_zero()) {
    if (!y.factored.empty()) add(sum, inner(rows, y.factored, count, n_) * (-f.kappa * f.E.number));
    if (y.dense.defined()) add(sum, contract(rows, y.dense, count) * (-f.kappa * f.E.number));
  }
  return sum;
}

void Adjoint::book(const StepTrace& trace, size_t l, const Pull& y, const Tensor& lambda, StepAccount& account) const {
  int64_t first = 0;
  for (const Pass& pass : trace.passes) {
    const int64_t count = pass.examples();
    if (pass.coupled) {  // all parameters at once, later
      first += count;
      continue;
    }
    if (const FactorList& g = pass.gradients.parameters[l]; !g.empty()) {
      if (const Tensor part = product(trace.form[l], l, y, lambda, g, count); part.defined()) {
        const Tensor exact = part.to(at::kDouble);
        account.draws.narrow(0, first, count).add_(exact);
        account.by_parameter[int64_t(l)].add_(exact.sum(0));
      }
    }
    if (account.kernel.defined() && !pass.output_gradients.parameters[l].empty()) {
      if (const Tensor part = product(trace.form[l], l, y, lambda, pass.output_gradients.parameters[l], count); part.defined())
        account.kernel.narrow(0, first, count).add_(part);
    }
    first += count;
  }
  if (trace.regulariser.empty()) return;
  const FactorList term = {dense_factor(trace.regulariser[l].unsqueeze(0))};  // an example of its own
  if (const Tensor part = product(trace.form[l], l, y, lambda, term, 1); part.defined()) account.regulariser.add_(part[0]);
}

// Coupled passes: c_i = b_i κ⟨M∘λ, ∇ℓ_i⟩ by one pushforward with the tangents of all parameters (theory 2.5)
void Adjoint::book_coupled(const StepTrace& trace, StepAccount& account) {
  if (coupled_ == nullptr) throw InvariantViolated("Adjoint: a step has coupled passes, and nobody to run them again was given");
  int64_t first = 0;
  for (const Pass& pass : trace.passes) {
    if (pass.coupled) {
      const CoupledShares shares = coupled_->shares(trace.weights, pass.coupled, lambda_);
      account.draws.narrow(0, first, pass.examples()).add_(shares.by_example);
      account.by_parameter.add_(shares.by_parameter);
      account.rounding.add_(shares.rounding);
    }
    first += pass.examples();
  }
  lambda_.clear();
}

/// Passes whose examples are not coupled updated no running statistics.
void Adjoint::book_statistics(const StepTrace& trace, const FactorSet& G, StepAccount& account) {
  std::vector<std::vector<StatisticsUpdate>> updates;
  for (const Pass& pass : trace.passes) updates.push_back(pass.coupled ? coupled_->statistics(trace.weights, pass.coupled) : std::vector<StatisticsUpdate>{});
  account.statistics = statistics_->step(trace, G, updates);
}

// z = ω^c λ − η ω^d y:  B: q ← q + z,  A: decay += z·w
void Adjoint::decay(const StepTrace& trace, size_t l, const FactorList& G, const Tensor& lambda, StepAccount& account) {
  const LinearForm& f = trace.form[l];
  const double of_y = -(f.omega_c * (lambda.defined() ? 0 : f.E.number)) - f.eta_omega_d;  // z = ω^c N p + of_y·y, or ω^c λ + of_y·y
  if (convention_ == Convention::ledger) {
    const Tensor w = trace.weights[l].detach().to(options_.dtype()).reshape(-1);
    account.decay.add_(along(G, w, n_) * of_y);
    if (q_[l].defined()) account.decay.add_(at::matmul(q_[l], w) * of_y);
    if (f.omega_c != 0 && lambda.defined()) account.decay.add_(at::matmul(lambda, w) * f.omega_c);
    else if (f.omega_c != 0 && f.has_memory()) account.decay.add_(p_[l].along(w) * (f.omega_c * f.N.number));
    return;
  }
  Tensor& q = dense(q_, l, trace.weights[l].numel());
  accumulate(q, 1 + of_y, G, of_y, {1, {}});
  if (f.omega_c != 0 && lambda.defined()) q.add_(lambda, f.omega_c);
  else if (f.omega_c != 0 && f.has_memory()) {
    const MemoryAdjoint::Written p = p_[l].written();
    q.add_(p.numbers, f.omega_c * f.N.number * p.carried);
  }
}

Tensor Adjoint::memory_jump(const Tensors& jump) const {
  Tensor sum = at::zeros({n_}, options_.dtype(at::kDouble));
  for (size_t l = 0; l < jump.size() && l < p_.size(); ++l) {
    if (p_[l].defined()) sum.add_(p_[l].along(jump[l]));
  }
  return sum;
}

Leftover Adjoint::leftover(const StepTrace& first, const Tensors& memory) const {
  const auto f64 = options_.dtype(at::kDouble);
  Leftover left{at::zeros({n_}, f64), at::zeros({n_}, f64), {}};
  const Tensors &weights = first.weights, &average = first.average;
  const auto flat = [&](const Tensor& t) { return t.detach().to(options_.dtype()).reshape(-1); };
  for (size_t l = 0; l < p_.size(); ++l) {
    if (q_[l].defined()) left.decay.add_(at::matmul(q_[l], flat(weights[l])));
    if (e_[l].defined()) {
      left.decay.add_(at::matmul(e_[l], flat(weights[l])));
      left.in_flight.add_(at::matmul(e_[l], flat(average[l]) - flat(weights[l])));
    }
    if (p_[l].defined() && !memory.empty()) left.in_flight.add_(p_[l].along(flat(memory[l])));
  }
  if (statistics_) left.statistics = statistics_->leftover(first.buffers);
  return left;
}

void Adjoint::put_into(SweepState& state, const std::string& prefix) const {
  for (size_t l = 0; l < p_.size(); ++l) {
    const std::string number = std::to_string(l);
    p_[l].put_into(state, prefix + "p/" + number + "/");
    state.put(prefix + "q/" + number, q_[l]);
    state.put(prefix + "e/" + number, e_[l]);
  }
  if (statistics_) statistics_->put_into(state, prefix + "statistics/");
}

void Adjoint::take_from(const SweepState& state, const std::string& prefix, const Tensors& weights, size_t buffers) {
  p_.clear(), q_.clear(), e_.clear();
  for (size_t l = 0; l < weights.size(); ++l) {
    const std::string number = std::to_string(l);
    p_.emplace_back(n_, weights[l].numel(), options_).take_from(state, prefix + "p/" + number + "/");
    q_.push_back(state.find(prefix + "q/" + number, options_.device()));
    e_.push_back(state.find(prefix + "e/" + number, options_.device()));
  }
  if (statistics_) statistics_->take_from(state, prefix + "statistics/", buffers, options_.device());
}

int64_t Adjoint::numbers_per_query(const std::vector<LinearForm>& form, const Tensors& weights, int64_t batch, Convention convention, bool average, bool coupled, at::ScalarType precision) {
  int64_t numbers = 0;
  for (size_t l = 0; l < form.size(); ++l) {
    const bool decays = form[l].has_decay() && convention == Convention::propagate;
    const bool writes_lambda = form[l].N.is_diagonal() || form[l].E.is_diagonal() || form[l].M.defined() || coupled;
    const bool has_q = decays || average;
    const int64_t states = (has_q ? 1 : 0) + (average ? 2 : 0) + (writes_lambda ? 1 : 0) + (has_q && form[l].S.defined() ? 1 : 0), W = weights[l].numel();
    numbers += states * W + (form[l].has_memory() ? MemoryAdjoint::numbers_per_query(form[l], weights[l], batch, precision) : 0);
  }
  return numbers;
}

}  // namespace pathkernel
