#include <pathkernel/sweep/uncertainty.h>

#include <ATen/ops/cat.h>
#include <ATen/ops/sqrt.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>
#include <pathkernel/sweep/pull.h>
#include <pathkernel/tangent/contraction.h>

namespace pathkernel {
namespace {

/// How a raw gradient moves the weights at its own step: Δ = −S(κ M∘(N∘D + E)∘g) + …; of y it takes Sᵀy.
Coefficient push_of(const LinearForm& f) {
  const Coefficient push = f.N.times(f.D).plus(f.E).times(Coefficient{f.kappa, {}});
  return f.M.defined() ? push.times(Coefficient{0, f.M}) : push;
}

/// push∘G of one parameter, written out, [n, W].
Tensor weighted(const FactorList& G, const Coefficient& d, int64_t n, int64_t numbers) {
  Tensor out = at::zeros({n, numbers}, G.front().left.options());
  accumulate(out, 1, G, 1, d);
  return out;
}

/// The same of a coupled pass, from tangents push∘G.
Tensor coupled_shares(const StepTrace& trace, const Pass& pass, const FactorSet& G, CoupledPasses& coupled) {
  Tensors lambda(trace.weights.size());
  for (size_t l = 0; l < lambda.size(); ++l) {
    if (G.parameters[l].empty()) continue;
    lambda[l] = weighted(pull(trace.form[l], G.parameters[l], {}).factored, push_of(trace.form[l]), G.examples, trace.weights[l].numel());
  }
  return coupled.shares(trace.weights, pass.coupled, lambda).by_example;
}

/// The step's own shares of the queries, [D, n], parameter by parameter added.
Tensor shares(const StepTrace& trace, const FactorSet& G, CoupledPasses& coupled) {
  Tensors parts;
  for (const Pass& pass : trace.passes) {
    if (pass.coupled) {
      parts.push_back(coupled_shares(trace, pass, G, coupled));
      continue;
    }
    Tensor sum;
    const int64_t count = pass.gradients.examples;
    for (size_t l = 0; l < trace.weights.size(); ++l) {
      const FactorList& g = pass.gradients.parameters[l];
      const FactorList h = pull(trace.form[l], G.parameters[l], {}).factored;
      if (g.empty() || h.empty()) continue;
      const Coefficient d = push_of(trace.form[l]);
      const Tensor part = d.is_diagonal() ? contract(g, weighted(h, d, G.examples, trace.weights[l].numel()), count)
                                          : inner(g, h, count, G.examples) * d.number;
      sum = sum.defined() ? sum + part : part;
    }
    if (sum.defined()) parts.push_back(sum);
  }
  return parts.empty() ? Tensor() : at::cat(parts);
}

}  // namespace

Uncertainty::Uncertainty(int64_t queries) : change_(at::zeros({queries}, at::kDouble)), size_(at::zeros({queries}, at::kDouble)) {}

void Uncertainty::sample(const StepTrace& trace, const FactorSet& G, const FactorSet& refined, const Tensor& columns, CoupledPasses& coupled) {
  const Tensor coarse = shares(trace, G, coupled), fine = shares(trace, refined, coupled);
  if (!fine.defined()) return;
  const auto squares = [](const Tensor& t) { return t.to(at::kCPU, at::kDouble).square().sum(0); };
  change_.index_add_(0, columns, squares(coarse - fine));
  size_.index_add_(0, columns, squares(fine));
}

Tensor Uncertainty::estimate() const { return at::where(size_ > 0, at::sqrt(change_ / at::where(size_ > 0, size_, 1)), 0); }

void Uncertainty::put_into(SweepState& state) const {
  state.put("uncertainty/change", change_);
  state.put("uncertainty/size", size_);
}

void Uncertainty::take_from(const SweepState& state) {
  change_ = state.at("uncertainty/change", change_);
  size_ = state.at("uncertainty/size", size_);
}

std::vector<bool> sampled_steps(int64_t T, int64_t count) {
  std::vector<bool> chosen(size_t(T), false);
  count = std::min(count, T);
  for (int64_t k = 0; k < count; ++k) chosen[size_t(((2 * k + 1) * T) / (2 * count))] = true;
  return chosen;
}

}  // namespace pathkernel
