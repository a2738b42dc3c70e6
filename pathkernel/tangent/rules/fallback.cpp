#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>
#include <pathkernel/core/error.h>
#include <pathkernel/tangent/owners.h>
#include <pathkernel/tangent/rule.h>
#include <pathkernel/tangent/rules/vjp.h>

namespace pathkernel {
namespace {

/// Σ over the numbers of each example: x -> [n]. Without an owner (an operation on shared values) one sum for all: [1].
Tensor sum_by_example(const Tensor& x, const Tensor& owner, int64_t n) {
  if (!owner.defined()) return x.sum().reshape({1});
  if (const auto d = example_dimension(owner, n)) return x.movedim(*d, 0).reshape({n, -1}).sum(1);
  return at::zeros({n}, x.options()).index_add_(0, owner.reshape(-1), x.reshape(-1));
}

/// One number per example, laid out like the tensor that `owner` belongs to.
Tensor spread(const Tensor& per_example, const Tensor& owner) {
  if (!owner.defined()) return per_example.reshape({});
  return per_example.index_select(0, owner.reshape(-1)).view(owner.sizes());
}

struct Input {
  const Slot* slot;
  Ends ends;
  Tensor owner;
};

/// The correction factor per example: (⟨Δy, v⟩ − ⟨Δx, g⟩) / ‖Δx‖², zero where nothing moved.
Tensor correction_factor(const Call& call, const std::vector<Input>& inputs, const Tensors& products, const Tensors& cotangents, bool per_example) {
  const int64_t n = per_example ? call.examples() : 1;
  Tensor defect, length;
  const auto add = [](Tensor& sum, const Tensor& t) { sum = sum.defined() ? sum + t : t; };
  for (size_t k = 0; k < cotangents.size(); ++k) {
    if (cotangents[k].defined()) add(defect, sum_by_example(call.output(k).delta() * cotangents[k], per_example ? call.owner(k) : Tensor(), n));
  }
  for (size_t j = 0; j < inputs.size(); ++j) {
    const Tensor delta = inputs[j].ends.delta();
    add(defect, -sum_by_example(delta * products[j], per_example ? inputs[j].owner : Tensor(), n));
    add(length, sum_by_example(delta * delta, per_example ? inputs[j].owner : Tensor(), n));
  }
  return at::where(length > 0, defect / at::where(length > 0, length, 1), 0);
}

void note(const Call& call, const Tensor& product, const Tensor& correction) {
  if (call.shares() == nullptr) return;
  CorrectionShare& share = (*call.shares())[call.name()];
  share.product += product.abs().sum().item<double>();
  share.correction += correction.abs().sum().item<double>();
}

/// A parameter inside an operation without a rule: the product with the cotangent of one example at a time.
void one_example_at_a_time(Call& call, const std::vector<Input>& inputs, const Tensors& point, bool moved) {
  std::vector<const Slot*> slots;
  for (const Input& input : inputs) slots.push_back(input.slot);
  std::vector<Tensor> rows(inputs.size()), shared(inputs.size());
  for (int64_t i = 0; i < call.examples(); ++i) {
    Tensors masked;
    for (size_t k = 0; k < call.cotangents.size(); ++k) {
      masked.push_back(call.cotangent(k).defined() ? call.cotangent(k) * (call.owner(k) == i) : Tensor());
    }
    Tensors products = own_vjp(call, slots, point, masked);
    if (moved) {
      std::vector<Input> own = inputs;  // only this example's part of the inputs moves with it
      for (Input& input : own) {
        if (input.owner.defined()) input.ends = {input.ends.at0, at::where(input.owner == i, input.ends.at1, input.ends.at0)};
      }
      const Tensor factor = correction_factor(call, own, products, masked, false);
      for (size_t j = 0; j < own.size(); ++j) {
        const Tensor correction = own[j].ends.delta() * factor.reshape({});
        note(call, products[j], correction);
        products[j] = products[j] + correction;
      }
    }
    for (size_t j = 0; j < inputs.size(); ++j) {
      if (inputs[j].owner.defined()) {
        rows[j] = rows[j].defined() ? rows[j] + products[j] : products[j];
      } else {
        if (!shared[j].defined()) shared[j] = at::zeros({call.examples(), products[j].numel()}, products[j].options());
        shared[j].select(0, i).copy_(products[j].reshape(-1));
      }
    }
  }
  for (size_t j = 0; j < inputs.size(); ++j) {
    if (inputs[j].owner.defined()) {
      if (call.wants(*inputs[j].slot)) call.give(*inputs[j].slot, rows[j]);
    } else {
      call.give_shared(*inputs[j].slot, dense_factor(shared[j]));
    }
  }
}

}  // namespace

// g = J(x̄)ᵀ v;  give g + Δx (⟨Δy, v⟩ − ⟨Δx, g⟩) / ‖Δx‖², Δx over all inputs together, per example.   (theory 3b, last row)
void fallback_rule(Call& call) {
  std::vector<Input> inputs;
  bool parameter_inside = false;
  for (const Slot& slot : call.node0.slots) {
    if (!call.wants(slot) && !call.wants_shared(slot)) continue;
    parameter_inside = parameter_inside || call.wants_shared(slot);
    inputs.push_back({&slot, call.ends(slot), call.owner(slot)});
  }
  if (inputs.empty()) return;
  bool moved = false;
  for (const Input& input : inputs) moved = moved || !input.ends.equal();
  std::vector<const Slot*> slots;
  Tensors point;
  for (const Input& input : inputs) {
    slots.push_back(input.slot);
    point.push_back(input.ends.mean());
  }
  if (parameter_inside) {
    one_example_at_a_time(call, inputs, point, moved);
    return;
  }
  Tensors products = own_vjp(call, slots, point, call.cotangents);
  if (moved) {
    const bool per_example = inputs.front().owner.defined();
    const Tensor factor = correction_factor(call, inputs, products, call.cotangents, per_example);
    for (size_t j = 0; j < inputs.size(); ++j) {
      const Tensor correction = inputs[j].ends.delta() * spread(factor, inputs[j].owner);
      note(call, products[j], correction);
      products[j] = products[j] + correction;
    }
  }
  for (size_t j = 0; j < inputs.size(); ++j) call.give(*inputs[j].slot, products[j]);
}

}  // namespace pathkernel
