#include <pathkernel/kernel/state.h>

#include <ATen/ops/matmul.h>

namespace pathkernel {
namespace {

Tensor with_trailing_ones(Tensor t, size_t count) {
  for (size_t k = 0; k < count; ++k) t = t.unsqueeze(-1);
  return t;
}

/// Own kernel of one side at s = s': [n] + space.
Tensor own_at_same(const KernelState& state, const Tensor& own) {
  const bool all = state.pairing == Pairing::rectangular ? state.own_all_positions : state.all_positions;
  return all ? same_position(own, 1, state.space.size()) : own;
}

/// [n] + positions from x with itself.
Tensor own_input_kernel(const Tensor& x, bool all_positions) {
  const double C = static_cast<double>(x.size(1));
  if (!all_positions || x.dim() == 2) return x.square().sum(1) / C;
  const Tensor flat = x.flatten(2);  // [n, C, S]
  std::vector<int64_t> sizes = {x.size(0)};
  for (int twice = 0; twice < 2; ++twice) sizes.insert(sizes.end(), x.sizes().begin() + 2, x.sizes().end());
  return at::matmul(flat.transpose(1, 2), flat).reshape(sizes) / C;
}

/// [n, m] + positions. The pairs are the innermost dimensions in memory: layers that shift positions then move whole blocks.
Tensor cross_input_kernel(const Tensor& x, const Tensor& y, bool all_positions) {
  const double C = static_cast<double>(x.size(1));
  if (x.dim() == 2) return at::matmul(x, y.t()) / C;
  const Tensor fx = x.flatten(2), fy = y.flatten(2);
  const int64_t n = fx.size(0), m = fy.size(0), S = fx.size(2), channels = fx.size(1);
  std::vector<int64_t> sizes = {n, m};
  sizes.insert(sizes.end(), x.sizes().begin() + 2, x.sizes().end());
  if (!all_positions) return (at::matmul(fx.permute({2, 0, 1}), fy.permute({2, 1, 0})) / C).permute({1, 2, 0}).unflatten(2, x.sizes().slice(2));
  const Tensor product = at::matmul(fx.permute({2, 0, 1}).reshape({S * n, channels}), fy.permute({1, 2, 0}).reshape({channels, S * m}));
  const Tensor pairs = (product / C).view({S, n, S, m}).permute({1, 3, 0, 2});
  return pairs.unflatten(3, x.sizes().slice(2)).unflatten(2, x.sizes().slice(2));
}

}  // namespace

Tensor same_position(const Tensor& t, size_t pair_dims, size_t space_dims) {
  Tensor result = t;
  const auto p = static_cast<int64_t>(pair_dims);
  for (auto k = static_cast<int64_t>(space_dims); k > 0; --k) result = result.diagonal(0, p, p + k);  // each takes one axis away and appends it
  return result;
}

Tensor KernelState::own_kernel_x() const {
  if (pairing == Pairing::rectangular) return own_x;
  return pairing == Pairing::paired ? K : K.diagonal(0, 0, 1).movedim(-1, 0);
}

Tensor KernelState::own_kernel_y() const { return pairing == Pairing::rectangular ? own_y : own_kernel_x(); }

Tensor KernelState::variance_x() const {
  const Tensor own = own_at_same(*this, own_kernel_x());
  const Tensor t = pairing == Pairing::paired ? own : own.unsqueeze(1);
  return all_positions ? with_trailing_ones(t, space.size()) : t;
}

Tensor KernelState::variance_y() const {
  const Tensor own = own_at_same(*this, own_kernel_y());
  Tensor t = pairing == Pairing::paired ? own : own.unsqueeze(0);
  if (all_positions)
    for (size_t k = 0; k < space.size(); ++k) t = t.unsqueeze(static_cast<int64_t>(pair_dims()));
  return t;
}

void KernelState::map(const std::function<Tensor(const Tensor&, size_t, bool)>& map) {
  K = map(K, pair_dims(), all_positions);
  if (Theta.defined()) Theta = map(Theta, pair_dims(), all_positions);
  if (own_x.defined()) own_x = map(own_x, 1, own_all_positions);
  if (own_y.defined()) own_y = map(own_y, 1, own_all_positions);
}

KernelState input_state(const Tensor& x, const Tensor& y, Pairing pairing, bool with_tangent, const Need& need) {
  KernelState state;
  state.pairing = pairing;
  state.space.assign(x.sizes().begin() + 2, x.sizes().end());
  state.all_positions = need.all_positions && !state.space.empty();
  state.own_all_positions = need.own_all_positions && !state.space.empty();
  state.with_tangent = with_tangent;
  state.channels = x.size(1);
  state.K = pairing == Pairing::paired ? own_input_kernel(x, state.all_positions) : cross_input_kernel(x, y, state.all_positions);
  if (pairing == Pairing::rectangular && (need.own || need.own_all_positions)) {
    state.own_x = own_input_kernel(x, state.own_all_positions);
    state.own_y = own_input_kernel(y, state.own_all_positions);
  }
  return state;
}

void reduce(KernelState& state, const Need& need) {
  const size_t k = state.space.size();
  if (state.all_positions && !need.all_positions) {
    state.K = same_position(state.K, state.pair_dims(), k);
    if (state.Theta.defined()) state.Theta = same_position(state.Theta, state.pair_dims(), k);
    state.all_positions = false;
  }
  if (state.own_all_positions && !need.own_all_positions) {
    if (state.own_x.defined()) state.own_x = same_position(state.own_x, 1, k);
    if (state.own_y.defined()) state.own_y = same_position(state.own_y, 1, k);
    state.own_all_positions = false;
  }
  if (!need.own && !need.own_all_positions) state.own_x = state.own_y = Tensor();
}

}  // namespace pathkernel
