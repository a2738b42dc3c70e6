#include <pathkernel/sweep/statistics_adjoint.h>

#include <ATen/ops/matmul.h>
#include <ATen/ops/zeros.h>
#include <pathkernel/tangent/contraction.h>

#include <map>
#include <string>

namespace pathkernel {
namespace {

/// y of the buffers that the step updates, and the G^β it began with.
struct Pulled {
  Tensor G, y;  ///< [n, C] float64
};

}  // namespace

Tensor StatisticsAdjoint::step(const StepTrace& trace, const FactorSet& G, const std::vector<std::vector<StatisticsUpdate>>& updates) {
  const size_t L = trace.weights.size();
  e_.resize(trace.buffers.size());
  const at::TensorOptions f64 = trace.weights.front().options().dtype(at::kDouble);
  std::map<size_t, Pulled> pulled;
  const auto pull = [&](size_t list, int64_t numbers) -> Tensor& {
    const auto [found, is_new] = pulled.try_emplace(list);
    if (is_new) {
      Pulled& p = found->second;
      p.G = G.parameters[list].empty() ? at::zeros({n_, numbers}, f64) : materialise(G.parameters[list], n_, numbers, G.parameters[list].front().left.options()).to(at::kDouble);
      p.y = e_[list - L].defined() ? p.G + e_[list - L] : p.G.clone();
    }
    return found->second.y;
  };
  Tensor draws = at::zeros({trace.draws(), n_}, f64);
  int64_t after = trace.draws();
  for (size_t p = updates.size(); p-- > 0;) {
    const int64_t count = trace.passes[p].examples();
    after -= count;
    for (size_t k = updates[p].size(); k-- > 0;) {
      const StatisticsUpdate& u = updates[p][k];
      for (const auto& [list, stat] : {std::pair(u.mean, &u.of_mean), std::pair(u.variance, &u.of_variance)}) {
        Tensor& y = pull(list, stat->size(1));
        draws.narrow(0, after, count).add_(at::matmul(*stat, y.t()), u.momentum);
        y.mul_(1 - u.momentum);
      }
    }
  }
  for (const auto& [list, p] : pulled) e_[list - L] = p.y - p.G;
  return draws;
}

Tensor StatisticsAdjoint::leftover(const Tensors& buffers) const {
  Tensor sum;
  for (size_t b = 0; b < e_.size(); ++b) {
    if (!e_[b].defined()) continue;
    const Tensor part = at::matmul(e_[b], buffers[b].detach().to(at::kDouble).reshape(-1));
    sum = sum.defined() ? sum + part : part;
  }
  return sum.defined() ? sum : at::zeros({n_}, at::kDouble);
}

void StatisticsAdjoint::put_into(SweepState& state, const std::string& prefix) const {
  for (size_t b = 0; b < e_.size(); ++b) state.put(prefix + std::to_string(b), e_[b]);
}

void StatisticsAdjoint::take_from(const SweepState& state, const std::string& prefix, size_t buffers, at::Device device) {
  e_.clear();
  for (size_t b = 0; b < buffers; ++b) e_.push_back(state.find(prefix + std::to_string(b), device));
}

}  // namespace pathkernel
