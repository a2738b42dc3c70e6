#include <pathkernel/kernel/taylor_model.h>

#include <pathkernel/core/error.h>
#include <pathkernel/tangent/capture_state.h>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/zeros_like.h>
#include <fmt/format.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/functions/utils.h>

#include <algorithm>

namespace pathkernel {
namespace {

/// Lets live parameters use other storage for a while. Their gradients, which a step of several passes adds up in, stay (bind_parameters() would drop them).
class Elsewhere {
 public:
  Elsewhere(const Tensors& live, const Tensors& there) : live_(live) {
    for (const Tensor& p : live_) back_.push_back(p.detach());
    put(there);
  }
  ~Elsewhere() { put(back_); }
  Elsewhere(const Elsewhere&) = delete;
  Elsewhere& operator=(const Elsewhere&) = delete;

 private:
  void put(const Tensors& values) {
    for (size_t l = 0; l < live_.size(); ++l) live_[l].set_data(values[l].detach());
  }
  Tensors live_, back_;
};

/// Σ_l ⟨a_l, b_l⟩; undefined where every a_l is
Tensor dot(const Tensors& a, const Tensors& b) {
  Tensor sum;
  for (size_t l = 0; l < a.size(); ++l) {
    if (!a[l].defined()) continue;
    const Tensor part = (a[l] * b[l]).sum();
    sum = sum.defined() ? sum + part : part;
  }
  return sum;
}

/// What autograd says of an operation that cannot be differentiated so often, without its stack.
[[noreturn]] void refuse(const c10::Error& error, int64_t order) {
  throw InvalidInput(fmt::format("taylorised: order {} needs derivatives of the network that autograd has not ({}); write that operation out of others", order,
                                 std::string(error.what_without_backtrace())));
}

/// The polynomial of one batch, with the network's graph at w_0.
struct Expansion {
  Tensors live, w0, delta, outputs;
  int64_t order = 1;

  Tensors values() const {
    Tensors all;
    for (const Tensor& f : outputs) all.push_back(value(f));
    return all;
  }

  /// With s(v) = ⟨∂⟨f, v⟩/∂p, Δ⟩, linear in v: J Δ = ∂s/∂v and d²f[Δ, Δ] = ∂⟨∂s/∂p, Δ⟩/∂v. No derivative by p is taken of a second derivative: autograd's formulas
  /// for those hold the statistics of normalisations fixed (layer_norm, batch_norm), and a third one would silently be wrong.
  Tensor value(const Tensor& f) const {
    Tensor sum = f.detach().clone();
    if (!f.requires_grad()) return sum;
    const Tensor v = at::zeros_like(f).set_requires_grad(true);
    const Tensor s = dot(torch::autograd::grad({f}, live, {v}, /*retain_graph=*/true, /*create_graph=*/true, /*allow_unused=*/true), delta);
    if (!s.defined() || !s.requires_grad()) return sum;
    if (const Tensor first = torch::autograd::grad({s}, {v}, {}, true, false, true).front(); first.defined()) sum += first;
    if (order == 1) return sum;
    const Tensor t = dot(torch::autograd::grad({s}, live, {}, true, true, true), delta);
    if (!t.defined() || !t.requires_grad()) return sum;
    if (const Tensor second = torch::autograd::grad({t}, {v}, {}, true, false, true).front(); second.defined()) sum += second / 2;
    return sum;
  }

  /// Jᵀδ, and d²f[Δ, ·]ᵀδ = ∂/∂p ⟨Jᵀδ, Δ⟩.
  Tensors gradient(const Tensors& deltas) const {
    Tensors of, by;
    for (size_t k = 0; k < outputs.size(); ++k)
      if (outputs[k].requires_grad() && deltas[k].defined()) of.push_back(outputs[k]), by.push_back(deltas[k]);
    if (of.empty()) return Tensors(live.size());
    Tensors all = torch::autograd::grad(of, live, by, /*retain_graph=*/true, /*create_graph=*/order > 1, /*allow_unused=*/true);
    const Tensor along = order > 1 ? dot(all, delta) : Tensor();
    const Tensors second = along.defined() && along.requires_grad() ? torch::autograd::grad({along}, live, {}, true, false, true) : Tensors(live.size());
    for (size_t l = 0; l < all.size(); ++l)
      if (all[l].defined()) all[l] = second[l].defined() ? all[l].detach() + second[l] : all[l].detach();
    return all;
  }
};

class TaylorBackward : public torch::autograd::Node {
 public:
  explicit TaylorBackward(Expansion expansion) : expansion_(std::move(expansion)) {}

  torch::autograd::variable_list apply(torch::autograd::variable_list&& deltas) override {
    const Elsewhere at_w0(expansion_.live, expansion_.w0);
    const at::AutoGradMode on(true);
    const MathAttention attention;
    try {
      return expansion_.gradient(deltas);
    } catch (const c10::Error& error) {
      refuse(error, expansion_.order);
    }
  }
  void release_variables() override { expansion_.outputs.clear(); }
  std::string name() const override { return "TaylorBackward"; }

 private:
  Expansion expansion_;
};

}  // namespace

TaylorModel::TaylorModel(Model& network, Tensors w0, int64_t order) : network_(network), w0_(std::move(w0)), order_(order) {
  if (order != 1 && order != 2) throw InvalidInput(fmt::format("taylorised: the order is {}; 1 or 2 is expected", order));
}

Tensors TaylorModel::forward(const Tensors& inputs, Mode mode) {
  Expansion expansion{values(network_.parameters()), w0_, {}, {}, order_};
  for (size_t l = 0; l < w0_.size(); ++l) expansion.delta.push_back((expansion.live[l] - w0_[l]).detach());
  Tensors outputs;
  {
    const Elsewhere at_w0(expansion.live, w0_);
    const at::AutoGradMode on(true);
    const MathAttention attention;
    try {
      expansion.outputs = network_.forward(inputs, mode);
      outputs = expansion.values();
    } catch (const c10::Error& error) {
      refuse(error, order_);
    }
  }
  if (!at::GradMode::is_enabled()) return outputs;
  const Tensors live = expansion.live;
  std::vector<bool> depends;
  for (const Tensor& f : expansion.outputs) depends.push_back(f.requires_grad());
  if (std::none_of(depends.begin(), depends.end(), [](bool d) { return d; })) return outputs;
  const auto node = c10::make_intrusive<TaylorBackward>(std::move(expansion));
  node->set_next_edges(torch::autograd::collect_next_edges(live));
  for (const Tensor& z : outputs)
    if (at::isFloatingType(z.scalar_type())) torch::autograd::set_history(z, node);
    else node->add_input_metadata(torch::autograd::Node::undefined_input());
  return outputs;
}

}  // namespace pathkernel
