#include <pathkernel/tangent/reverse.h>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros.h>
#include <pathkernel/core/error.h>
#include <pathkernel/tangent/contraction.h>
#include <pathkernel/tangent/coupled_batch.h>

namespace pathkernel {

Reverse::Reverse(const Tape& at0, const Tape& at1) : at0(at0), at1(at1), cotangents_(at0.values.size()), shared_(at0.values.size()) {
  std::string difference;
  if (&at0 != &at1 && !same_structure(at0, at1, &difference)) {
    throw InvalidInput("secant: the forward pass is not the same at both ends of a step (" + difference + "); the model takes decisions that depend on its weights");
  }
}

void Reverse::seed(ValueId value, Tensor cotangent) {
  if (value == no_value) throw InvalidInput("the tape: the measurement does not depend on the parameters");
  if (!at0.values[size_t(value)].refusal.empty()) throw CoupledBatch(at0.values[size_t(value)].refusal);
  add(value, cotangent);
}

void Reverse::add(ValueId value, const Tensor& cotangent) {
  Tensor& sum = cotangents_[size_t(value)];
  sum = sum.defined() ? sum + cotangent : cotangent;
}

FactorSet Reverse::run(CorrectionShares* shares) {
  at::AutoGradMode off(false);
  shares_ = shares;
  for (size_t k = at0.nodes.size(); k-- > 0;) {
    const Node &node0 = at0.nodes[k], &node1 = at1.nodes[k];
    bool rows = false, shared = false;
    for (const ValueId id : node0.outputs) {
      if (id == no_value) continue;
      rows = rows || cotangents_[size_t(id)].defined();
      shared = shared || !shared_[size_t(id)].empty();
    }
    if (rows && node0.is_alias) pull_alias(node0, node1);
    else if (rows) pull(node0, node1);
    if (shared) pull_shared(node0, node1);
    for (const ValueId id : node0.outputs) {
      if (id != no_value) cotangents_[size_t(id)] = Tensor();
    }
  }
  FactorSet out;
  out.examples = at0.examples;
  for (const ValueId id : at0.parameter_values) out.parameters.push_back(compacted(std::move(shared_[size_t(id)])));
  return out;
}

void Reverse::pull(const Node& node0, const Node& node1) {
  Tensors cotangents;
  for (const ValueId id : node0.outputs) cotangents.push_back(id == no_value ? Tensor() : cotangents_[size_t(id)]);
  Call call(*this, node0, node1, std::move(cotangents));
  const Rule* rule = find_rule(node0.name);
  if (rule != nullptr) (*rule)(call);
  else fallback_rule(call);
}

void Reverse::pull_shared(const Node& node0, const Node& node1) {
  // Per-example gradients of a value made of parameters only. A transposed matrix swaps its factors' sides.
  if (node0.is_alias) throw InvalidInput("the tape: a tensor made of parameters is written to in place; use the operation that returns a new tensor");
  if (node0.outputs.size() == 1) {
    FactorList& list = shared_[size_t(node0.outputs[0])];
    const bool all_outer = std::all_of(list.begin(), list.end(), [](const Factor& f) { return f.kind == Factor::Kind::outer && f.left.size(1) == 1; });
    const Tensor& input = at0.values[size_t(node0.slots[0].value)].tensor;
    if (all_outer && input.dim() == 2 && (node0.name == "aten::t" || node0.name == "aten::transpose")) {
      for (Factor& f : list) add_shared(node0.slots[0].value, grouped_outer_factor(f.right, f.left));
      list.clear();
      return;
    }
  }
  // Anything else, one example at a time.
  const int64_t n = at0.examples;
  std::vector<Tensors> collected(node0.slots.size());
  Tensors dense;
  for (const ValueId id : node0.outputs) {
    if (id == no_value || shared_[size_t(id)].empty()) {
      dense.emplace_back();
      continue;
    }
    const int64_t numbers = shared_[size_t(id)].front().numbers;
    Tensor all = materialise(shared_[size_t(id)], n, numbers, shared_[size_t(id)].front().left.options());
    std::vector<int64_t> shape = at0.values[size_t(id)].sizes;
    shape.insert(shape.begin(), n);
    dense.push_back(all.view(shape));
    shared_[size_t(id)].clear();
  }
  const Rule* rule = find_rule(node0.name);
  for (int64_t i = 0; i < n; ++i) {
    Tensors cotangents;
    for (const Tensor& all : dense) cotangents.push_back(all.defined() ? all[i] : Tensor());
    std::vector<Tensor> given(node0.slots.size());
    Call call(*this, node0, node1, std::move(cotangents), &given);
    if (rule != nullptr) (*rule)(call);
    else fallback_rule(call);
    for (size_t k = 0; k < given.size(); ++k) {
      if (given[k].defined()) collected[k].push_back(given[k]);
    }
  }
  for (size_t k = 0; k < collected.size(); ++k) {
    if (!collected[k].empty()) add_shared(node0.slots[k].value, dense_factor(at::stack(collected[k])));
  }
}

void Reverse::pull_alias(const Node& node0, const Node&) {
  // After a write through one name, another name of the same storage: what it overlaps comes from the write, the rest from before.
  const ValueId written = node0.slots[0].value, before = node0.slots[1].value, after = node0.outputs[0];
  const Tensor& cotangent = cotangents_[size_t(after)];
  const auto& place = node0.arguments;
  Tensor whole = at::zeros({place[6].toInt()}, cotangent.options());
  Tensor name = whole.as_strided(place[0].toIntVector(), place[1].toIntVector(), place[2].toInt());
  name.copy_(cotangent);
  Tensor window = whole.as_strided(place[3].toIntVector(), place[4].toIntVector(), place[5].toInt());
  if (at0.values[size_t(written)].active) add(written, window.clone());
  window.zero_();
  if (at0.values[size_t(before)].active) add(before, name.clone());
}

}  // namespace pathkernel
