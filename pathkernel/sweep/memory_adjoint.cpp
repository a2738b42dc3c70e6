#include <pathkernel/sweep/memory_adjoint.h>

#include <ATen/ops/empty.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace pathkernel {
namespace {

bool is_rank_one(const FactorList& G) {
  return G.size() == 1 && G[0].kind == Factor::Kind::outer && G[0].terms() == 1 && G[0].left.size(1) == 1;
}

/// Reading and writing a number of p costs as much as so many multiplications in a matrix product (measured on LeNet: 2.5 ms for 3
/// million numbers beside 80 GFLOP/s).
constexpr double cost_of_a_pass = 65;

}  // namespace

MemoryAdjoint::Plan MemoryAdjoint::plan(int64_t out, int64_t in, int64_t rows, int64_t queries, double mu, at::ScalarType precision) {
  const double pairs = double(rows) * double(queries), W = double(out) * double(in);
  const double of_a_lag = 2 * pairs * double(in + out);
  // Half of the kept pushes on average, and a pass when they are full: the best number of them balances the two.
  const double best = std::sqrt(cost_of_a_pass * double(queries) * W / (of_a_lag / 2));
  const int64_t lags = std::clamp<int64_t>(std::llround(best), 1, 32);
  const double dense = 2 * pairs * W + of_a_lag * double(lags) / 2 + cost_of_a_pass * double(queries) * W / double(lags);
  const double smallest = precision == at::kDouble ? std::numeric_limits<double>::epsilon() : std::numeric_limits<float>::epsilon();
  const double history = mu > 0 && mu < 1 ? std::ceil(std::log(smallest / 4) / std::log(mu)) : std::numeric_limits<double>::infinity();
  if (history * of_a_lag < dense) return {int64_t(history), true};
  return {lags > 1 ? lags : 0, false};
}

int64_t MemoryAdjoint::numbers_per_query(const LinearForm& form, const Tensor& weights, int64_t rows, at::ScalarType precision) {
  const int64_t W = weights.numel();
  if (weights.dim() != 2 || form.D.is_diagonal()) return W;
  const int64_t out = weights.size(0), in = weights.size(1);
  const Plan best = plan(out, in, rows, 1, form.mu, precision);
  const int64_t pushes = best.lags * (out + in);
  return best.dense_never ? std::max(W, pushes) : W + pushes;
}

void MemoryAdjoint::push(const FactorList& G, const Coefficient& d, int64_t rows, double mu) {
  if (G.empty()) return;
  if (d.is_diagonal() || !is_rank_one(G)) {
    const Written p = written();
    accumulate(p.numbers, p.carried, G, -1, d);
    settled();
    return;
  }
  if (!planned_) {
    plan_ = plan(G[0].left.size(2), G[0].right.size(2), rows, n_, mu, c10::typeMetaToScalarType(options_.dtype()));
    planned_ = true;
  }
  if (plan_.lags > 0) {
    keep(G[0], -d.number);
    return;
  }
  const Written p = written();
  accumulate(p.numbers, p.carried, G, -1, d);
  settled();
}

void MemoryAdjoint::push(const Tensor& q, const Coefficient& d) {
  const Written p = written();
  add_scaled(p.numbers, p.carried, q, d.is_diagonal() ? -1 : -d.number, d.diagonal);
  settled();
}

void MemoryAdjoint::carry(double mu) {
  carried_ *= mu;
  for (double& weight : weights_) weight *= mu;
}

void MemoryAdjoint::keep(const Factor& G, double weight) {
  const int64_t out = G.left.size(2), in = G.right.size(2);
  if (!left_.defined()) {
    left_ = at::empty({plan_.lags * n_, out}, options_);
    right_ = at::empty({plan_.lags * n_, in}, options_);
    weights_.assign(size_t(plan_.lags), 0);
  }
  if (used_ == plan_.lags && !plan_.dense_never) flush();
  left_.narrow(0, next_ * n_, n_).copy_(G.left.reshape({n_, out}));
  right_.narrow(0, next_ * n_, n_).copy_(G.right.reshape({n_, in}));
  weights_[size_t(next_)] = weight;
  next_ = (next_ + 1) % plan_.lags;
  used_ = std::min(used_ + 1, plan_.lags);
}

/// The kept pushes as one set of used·n gradients.
Factor MemoryAdjoint::kept() const { return outer_factor(left_.narrow(0, 0, used_ * n_).unsqueeze(2), right_.narrow(0, 0, used_ * n_).unsqueeze(2)); }

/// dense ← carried·dense + Σ_j a_j G_j, one product per query
void MemoryAdjoint::flush() {
  if (used_ == 0) return;
  const int64_t out = left_.size(1), in = right_.size(1);
  const Tensor weights = at::tensor(std::vector<double>(weights_.begin(), weights_.begin() + used_), options_).view({used_, 1, 1});
  const Tensor left = (left_.narrow(0, 0, used_ * n_).view({used_, n_, out}) * weights).permute({1, 2, 0});  // [n, out, used]
  const Tensor right = right_.narrow(0, 0, used_ * n_).view({used_, n_, in}).transpose(0, 1);                // [n, used, in]
  if (!dense_.defined()) dense_ = at::zeros({n_, numbers_}, options_);
  dense_.view({n_, out, in}).baddbmm_(left, right, carried_, 1);
  carried_ = 1;
  used_ = next_ = 0;
}

MemoryAdjoint::Written MemoryAdjoint::written() {
  flush();
  if (!dense_.defined()) dense_ = at::zeros({n_, numbers_}, options_);
  return {dense_, carried_};
}

/// ⟨row, kept push⟩ for rows of one factor, [count, used·n]
Tensor MemoryAdjoint::against_kept(const Factor& rows, int64_t count) const {
  const Factor pushes = kept();
  if (rows.kind == Factor::Kind::outer && rows.left.size(1) == 1) return inner({rows}, {pushes}, count, used_ * n_);
  // lᵀ V r for a written out row V [out, in]; the pushes themselves are never written out
  const int64_t out = left_.size(1), in = right_.size(1);
  const Tensor written = materialise({rows}, count, numbers_, options_);
  Tensors lines;
  for (int64_t i = 0; i < count; ++i) {
    lines.push_back((at::matmul(pushes.right.squeeze(1).squeeze(2), written[i].view({out, in}).t()) * pushes.left.squeeze(1).squeeze(2)).sum(1));
  }
  return at::stack(lines);
}

Tensor MemoryAdjoint::product(const FactorList& rows, int64_t count) const {
  Tensor sum = dense_.defined() ? contract(rows, dense_, count).mul_(carried_) : at::zeros({count, n_}, options_);
  if (used_ == 0) return sum;
  const Tensor weights = at::tensor(std::vector<double>(weights_.begin(), weights_.begin() + used_), options_).view({1, used_, 1});
  for (const Factor& f : rows) sum.add_(against_kept(f, count).view({count, used_, n_}).mul(weights).sum(1));
  return sum;
}

Tensor MemoryAdjoint::along(const Tensor& v) const { return product({dense_factor(v.unsqueeze(0))}, 1)[0]; }

void MemoryAdjoint::put_into(SweepState& state, const std::string& prefix) const {
  state.put(prefix + "dense", dense_);
  state.put(prefix + "carried", carried_);
  state.put(prefix + "plan", at::tensor({int64_t(planned_), plan_.lags, int64_t(plan_.dense_never), used_, next_}, at::kLong));
  if (!left_.defined()) return;
  state.put(prefix + "left", left_.narrow(0, 0, used_ * n_));  // the other rows have not been written yet
  state.put(prefix + "right", right_.narrow(0, 0, used_ * n_));
  state.put(prefix + "weights", at::tensor(weights_, at::kDouble));
}

void MemoryAdjoint::take_from(const SweepState& state, const std::string& prefix) {
  dense_ = state.find(prefix + "dense", options_.device());
  carried_ = state.number(prefix + "carried");
  const Tensor plan = state.at(prefix + "plan", at::zeros({5}, at::kLong));
  const int64_t* numbers = plan.const_data_ptr<int64_t>();
  planned_ = numbers[0] != 0;
  plan_ = {numbers[1], numbers[2] != 0};
  used_ = numbers[3];
  next_ = numbers[4];
  const Tensor left = state.find(prefix + "left", options_.device()), right = state.find(prefix + "right", options_.device());
  if (!left.defined()) return;
  left_ = at::empty({plan_.lags * n_, left.size(1)}, options_);
  right_ = at::empty({plan_.lags * n_, right.size(1)}, options_);
  left_.narrow(0, 0, used_ * n_).copy_(left);
  right_.narrow(0, 0, used_ * n_).copy_(right);
  const Tensor weights = state.at(prefix + "weights", at::zeros({plan_.lags}, at::kDouble));
  weights_.assign(weights.const_data_ptr<double>(), weights.const_data_ptr<double>() + plan_.lags);
}

}  // namespace pathkernel
