#include <ATen/core/stack.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros.h>
#include <pathkernel/tangent/push.h>

#include <unordered_set>

namespace pathkernel {
namespace {

// All here: y = A x  ⇒  ẏ = A ẋ.

Tensors returned(const torch::jit::Stack& stack) {
  Tensors out;
  for (const c10::IValue& value : stack) {
    if (value.isTensor()) out.push_back(value.toTensor());
    else if (value.isTensorList()) for (const Tensor& t : value.toTensorVector()) out.push_back(t);
    else out.emplace_back();
  }
  return out;
}

/// The operation itself, query by query.
Tensors each_query(const PushCall& call) {
  std::vector<Tensors> by_output;
  for (int64_t q = 0; q < call.queries(); ++q) {
    torch::jit::Stack stack = call.tangent_arguments(q);
    call.node.op.callBoxed(&stack);
    const Tensors one = returned(stack);
    by_output.resize(one.size());
    for (size_t k = 0; k < one.size(); ++k) by_output[k].push_back(one[k]);
  }
  Tensors out;
  for (const Tensors& tangents : by_output) out.push_back(at::stack(tangents));
  return out;
}

/// The operation itself on [Q, sizes of x]: dimensions counted from the front are one further.
Tensors along_dimensions(const PushCall& call) {
  static const std::unordered_set<std::string> dimensions = {"dim", "dim0", "dim1", "dim2", "dims", "dimension"};
  torch::jit::Stack stack = call.tangent_arguments(-1);
  const auto& schema = call.node.op.schema().arguments();
  const auto shifted = [](int64_t d) { return d < 0 ? d : d + 1; };
  bool named = false;
  for (size_t a = 0; a < stack.size(); ++a) {
    if (!dimensions.count(schema[a].name())) continue;
    if (stack[a].isInt()) {
      stack[a] = shifted(stack[a].toInt());
      named = true;
    } else if (stack[a].isIntList()) {
      std::vector<int64_t> list = stack[a].toIntVector();
      for (int64_t& d : list) d = shifted(d);
      named = named || !list.empty();
      stack[a] = list;
    }
  }
  if (!named) return each_query(call);
  call.node.op.callBoxed(&stack);
  return returned(stack);
}

Tensors reshaped(const PushCall& call) { return {call.tangent("self").reshape(call.output_sizes())}; }
Tensors same(const PushCall& call) { return {call.tangent("self")}; }

Tensors expanded(const PushCall& call) { return {call.broadcast_tangent("self").expand(call.output_sizes())}; }

// y = z, over whatever was there (copy_)
Tensors copied(const PushCall& call) {
  const Tensor src = call.broadcast_tangent("src");
  return {src.defined() ? src.to(call.output().scalar_type()).expand(call.output_sizes()) : src};
}

Tensors permuted(const PushCall& call) {
  std::vector<int64_t> dims = {0};
  const int64_t rank = int64_t(call.output_sizes().size()) - 1;
  for (const int64_t d : call.argument("dims").toIntVector()) dims.push_back((d < 0 ? d + rank : d) + 1);
  return {call.tangent("self").permute(dims)};
}

Tensors transposed(const PushCall& call) {
  const Tensor t = call.tangent("self");
  return {t.dim() == 3 ? t.transpose(1, 2) : t};
}

// over everything where no dimension is named
Tensors summed(const PushCall& call, bool mean) {
  const bool whole = !call.knows("dim") || call.argument("dim").isNone() || (call.argument("dim").isIntList() && call.argument("dim").toIntVector().empty());
  if (!whole) return along_dimensions(call);
  const Tensor flat = call.tangent("self").flatten(1);
  return {(mean ? flat.mean(1) : flat.sum(1)).reshape(call.output_sizes()).to(call.output().scalar_type())};
}

/// Images of all queries as one batch: [Q, n, C, ...] -> [Q·n, C, ...].
Tensors folded(const PushCall& call, int64_t rank) {
  const Tensor t = call.tangent("self");
  if (t.dim() != rank + 1) return each_query(call);
  torch::jit::Stack stack = call.arguments();
  stack[0] = t.flatten(0, 1);
  call.node.op.callBoxed(&stack);
  return {stack[0].toTensor().view(call.output_sizes())};
}

// y = x + αz, x − αz
Tensors sum(const PushCall& call, double sign) {
  const double alpha = sign * call.argument("alpha").toScalar().toDouble();
  const Tensor x = call.broadcast_tangent("self"), z = call.broadcast_tangent("other");
  Tensor out = x;
  if (z.defined()) out = x.defined() ? x.add(z, alpha) : alpha == 1 ? z : z * alpha;
  return {out.expand(call.output_sizes())};
}

// y = z − αx
Tensors reversed_difference(const PushCall& call) {
  const Tensor x = call.broadcast_tangent("self"), z = call.broadcast_tangent("other");
  const double alpha = call.argument("alpha").toScalar().toDouble();
  Tensor out = z;
  if (x.defined()) out = z.defined() ? z.sub(x, alpha) : x * -alpha;
  return {out.expand(call.output_sizes())};
}

Tensors negative(const PushCall& call) { return {-call.tangent("self")}; }

// y = x where m is not set, a constant where it is
Tensors masked(const PushCall& call) {
  if (call.tangent("value").defined()) return {};
  return {call.broadcast_tangent("self").expand(call.output_sizes()).masked_fill(call.value("mask"), 0)};
}

// y = W[index]; autograd gives the padding row no gradient
Tensors embedding(const PushCall& call) {
  Tensor rows = call.tangent("weight");
  const Tensor index = call.value("indices");
  if (call.argument("scale_grad_by_freq").toBool()) return {};
  if (const int64_t padding = call.argument("padding_idx").toInt(); padding >= 0) {
    rows = rows.clone();
    rows.select(1, padding).zero_();
  }
  return {rows.index_select(1, index.reshape(-1)).view(call.output_sizes())};
}

}  // namespace

PushTable linear_pushes() {
  PushTable pushes;
  const auto add = [&](std::initializer_list<const char*> names, PushRule push) {
    for (const char* name : names) pushes.emplace_back(std::string("aten::") + name, push);
  };
  add({"view", "_unsafe_view", "_reshape_alias", "squeeze", "unsqueeze"}, reshaped);
  add({"clone", "alias", "lift_fresh"}, same);
  add({"transpose", "slice", "select", "split", "split_with_sizes", "unbind", "flip", "cat", "stack", "index_select", "unfold", "diagonal",
       "cumsum", "roll"}, along_dimensions);
  add({"index", "gather", "repeat", "_to_copy", "scatter_add", "index_add"}, each_query);
  add({"sum"}, [](const PushCall& call) { return summed(call, false); });
  add({"mean"}, [](const PushCall& call) { return summed(call, true); });
  add({"avg_pool2d", "_adaptive_avg_pool2d"}, [](const PushCall& call) { return folded(call, 4); });
  add({"avg_pool1d"}, [](const PushCall& call) { return folded(call, 3); });
  add({"constant_pad_nd"}, [](const PushCall& call) {
    torch::jit::Stack stack = call.arguments();
    stack[0] = call.tangent("self");
    stack[2] = c10::Scalar(0);
    call.node.op.callBoxed(&stack);
    return Tensors{stack[0].toTensor()};
  });
  add({"expand"}, expanded);
  add({"copy"}, copied);
  add({"permute"}, permuted);
  add({"t"}, transposed);
  add({"add"}, [](const PushCall& call) { return sum(call, 1); });
  add({"sub"}, [](const PushCall& call) { return sum(call, -1); });
  add({"rsub"}, reversed_difference);
  add({"neg"}, negative);
  add({"masked_fill"}, masked);
  add({"embedding"}, embedding);
  return pushes;
}

}  // namespace pathkernel
