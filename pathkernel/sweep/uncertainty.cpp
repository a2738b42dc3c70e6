#include <pathkernel/sweep/uncertainty.h>

#include <ATen/ops/cat.h>
#include <ATen/ops/sqrt.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>
#include <pathkernel/tangent/contraction.h>

namespace pathkernel {
namespace {

/// The same of a coupled pass, from tangents D∘G.
Tensor coupled_shares(const StepTrace& trace, const Pass& pass, const FactorSet& G, CoupledPasses& coupled) {
  Tensors lambda(trace.weights.size());
  for (size_t l = 0; l < lambda.size(); ++l) {
    if (G.parameters[l].empty()) continue;
    const Coefficient& d = trace.form[l].D.is_zero() ? trace.form[l].E : trace.form[l].D;
    const Tensor written = materialise(G.parameters[l], G.examples, trace.weights[l].numel(), {});
    lambda[l] = d.is_diagonal() ? written * d.diagonal.unsqueeze(0) : written * d.number;
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
      const FactorList &g = pass.gradients.parameters[l], &h = G.parameters[l];
      if (g.empty() || h.empty()) continue;
      const LinearForm& f = trace.form[l];
      const Coefficient& d = f.D.is_zero() ? f.E : f.D;
      const Tensor part = d.is_diagonal() ? contract(g, materialise(h, G.examples, trace.weights[l].numel(), {}) * d.diagonal.unsqueeze(0), count)
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
