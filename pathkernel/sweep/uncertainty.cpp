#include <pathkernel/sweep/uncertainty.h>

#include <ATen/ops/sqrt.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>
#include <pathkernel/tangent/contraction.h>

namespace pathkernel {
namespace {

/// The step's own shares of the queries, [B, n].
Tensor shares(const StepTrace& trace, const FactorSet& G) {
  Tensor sum;
  for (size_t l = 0; l < trace.weights.size(); ++l) {
    const FactorList& g = trace.gradients.parameters[l];
    if (g.empty() || G.parameters[l].empty()) continue;
    const LinearForm& f = trace.form[l];
    const Coefficient& d = f.D.is_zero() ? f.E : f.D;
    Tensor part;
    if (d.is_diagonal()) {
      const Tensor dense = materialise(G.parameters[l], G.examples, trace.weights[l].numel(), {});
      part = contract(g, dense * d.diagonal.unsqueeze(0), trace.gradients.examples);
    } else {
      part = inner(g, G.parameters[l], trace.gradients.examples, G.examples) * d.number;
    }
    sum = sum.defined() ? sum + part : part;
  }
  return sum;
}

}  // namespace

Uncertainty::Uncertainty(int64_t queries) : change_(at::zeros({queries}, at::kDouble)), size_(at::zeros({queries}, at::kDouble)) {}

void Uncertainty::sample(const StepTrace& trace, const FactorSet& G, const FactorSet& refined, const Tensor& columns) {
  const Tensor coarse = shares(trace, G), fine = shares(trace, refined);
  if (!fine.defined()) return;
  const auto squares = [](const Tensor& t) { return t.to(at::kCPU, at::kDouble).square().sum(0); };
  change_.index_add_(0, columns, squares(coarse - fine));
  size_.index_add_(0, columns, squares(fine));
}

Tensor Uncertainty::estimate() const { return at::where(size_ > 0, at::sqrt(change_ / at::where(size_ > 0, size_, 1)), 0); }

std::vector<bool> sampled_steps(int64_t T, int64_t count) {
  std::vector<bool> chosen(size_t(T), false);
  count = std::min(count, T);
  for (int64_t k = 0; k < count; ++k) chosen[size_t(((2 * k + 1) * T) / (2 * count))] = true;
  return chosen;
}

}  // namespace pathkernel
