#include <pathkernel/tangent/reverse.h>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros.h>
#include <pathkernel/core/error.h>
#include <pathkernel/tangent/contraction.h>
#include <pathkernel/tangent/coupled_batch.h>

namespace pathkernel {
namespace {

/// The operation swaps the two sides of a matrix.
bool transposes(const Node& node, const Tensor& input) {
  if (input.dim() != 2) return false;
  const auto wrapped = [](int64_t d) { return d < 0 ? d + 2 : d; };
  if (node.name == "aten::transpose") return wrapped(node.arguments[1].toInt()) != wrapped(node.arguments[2].toInt());
  if (node.name == "aten::permute") return wrapped(node.arguments[1].toIntVector()[0]) == 1;
  return node.name == "aten::t";
}

/// The operation, of one value, gives it back times a number.
bool scales(const Node& node) {
  if (node.name == "aten::neg") return true;
  const bool product = node.name == "aten::mul", quotient = node.name == "aten::div" && node.op.operator_name().overload_name.find("mode") == std::string::npos;
  if (!product && !(quotient && node.slots[0].argument == 0)) return false;
  const c10::IValue& other = node.arguments[size_t(1 - node.slots[0].argument)];
  return other.isScalar() || (other.isTensor() && other.toTensor().dim() == 0);
}

}  // namespace

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
  if (node0.is_alias) throw InvalidInput("the tape: a tensor made of parameters is written to in place; use the operation that returns a new tensor");
  if (node0.outputs.size() == 1 && node0.slots.size() == 1 && pull_factored(node0, node1)) return;
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

bool Reverse::pull_factored(const Node& node0, const Node& node1) {
  const ValueId from = node0.slots[0].value;
  const Tensor& input = at0.values[size_t(from)].tensor;
  FactorList& list = shared_[size_t(node0.outputs[0])];
  if (transposes(node0, input) && std::all_of(list.begin(), list.end(), [](const Factor& f) { return f.kind == Factor::Kind::outer && f.left.size(1) == 1; })) {
    for (Factor& f : list) add_shared(from, grouped_outer_factor(f.right, f.left));
  } else if (scales(node0) && input.numel() > 0) {
    std::vector<Tensor> given(1);
    Call call(*this, node0, node1, {at::ones({}, list.front().left.options()).expand(input.sizes())}, &given);
    (*find_rule(node0.name))(call);
    const Tensor by = given[0].reshape(-1)[0];
    for (Factor& f : list) {
      f.left = f.left * by;
      add_shared(from, std::move(f));
    }
  } else {
    return false;
  }
  list.clear();
  return true;
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
