#include <ATen/core/stack.h>
#include <ATen/ops/baddbmm.h>
#include <ATen/ops/bmm.h>
#include <ATen/ops/convolution.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros.h>
#include <pathkernel/tangent/push.h>

namespace pathkernel {
namespace {

// All here: y = B(a, w)  ⇒  ẏ = B(ȧ, w) + B(a, ẇ).

Tensor plus(const Tensor& a, const Tensor& b) { return !a.defined() ? b : !b.defined() ? a : a + b; }

/// The operation itself, query by query: B(ȧ_q, w) + B(a, ẇ_q), and `added`'s tangent times `factor`.
Tensors each_query(const PushCall& call, const char* a, const char* w, const char* added = nullptr, double factor = 1) {
  Tensors rows;
  for (int64_t q = 0; q < call.queries(); ++q) {
    Tensor row;
    for (const char* moving : {a, w}) {
      const Slot* slot = call.slot(moving);
      if (slot == nullptr || !call.tangent(*slot).defined()) continue;
      torch::jit::Stack stack = call.arguments();
      stack[size_t(slot->argument)] = call.tangent(*slot).select(0, q);
      // What is added to the product is no part of it. A bias may be left out; addmm and its kin want a tensor.
      if (added != nullptr && call.has(added)) {
        c10::IValue& rest = stack[size_t(argument_index(call.node, added))];
        if (std::string(added) == "bias") rest = c10::IValue();
        else rest = at::zeros({}, rest.toTensor().options()).expand(rest.toTensor().sizes());
      }
      call.node.op.callBoxed(&stack);
      row = plus(row, stack[0].toTensor());
    }
    rows.push_back(row.defined() ? row : at::zeros({}, call.output().options()).expand(call.output().sizes()));
  }
  Tensor out = at::stack(rows);
  if (added == nullptr || !call.tangent(added).defined()) return {out};
  if (std::string(added) != "bias") return {out + call.broadcast_tangent(added) * factor};
  std::vector<int64_t> channels(size_t(out.dim()), 1);  // [Q, 1, C, 1, ...], unbatched [Q, C, 1, ...]
  channels[0] = call.queries();
  channels[call.value(a).dim() == call.value(w).dim() ? 2 : 1] = call.tangent(added).size(1);
  return {out + call.tangent(added).view(channels)};
}

/// [Q, R, k] from rows a [R, k] and matrices m [Q, l, k]: a m_qᵀ, added to `sum` where that is defined.
Tensor rows_times(const Tensor& a, const Tensor& m, const Tensor& sum) {
  const Tensor left = a.unsqueeze(0).expand({m.size(0), a.size(0), a.size(1)}), right = m.transpose(1, 2);
  return sum.defined() ? at::baddbmm(sum, left, right) : at::bmm(left, right);
}

/// y = scale·a Wᵀ: a [..., in], W [out, in] -> [Q, R, out].  @param W, W_tangent  with the output first
Tensor dense_layer(const PushCall& call, const Tensor& a, const Tensor& a_tangent, const Tensor& W, const Tensor& W_tangent) {
  Tensor out;
  if (a_tangent.defined()) out = at::matmul(a_tangent.reshape({-1, W.size(1)}), W.t()).view({call.queries(), -1, W.size(0)});
  if (W_tangent.defined()) out = rows_times(a.reshape({-1, W.size(1)}), W_tangent, out);
  return out;
}

Tensors linear(const PushCall& call) {
  const Tensor W = call.value("weight"), bias = call.has("bias") ? call.broadcast_tangent("bias") : Tensor();
  if (W.dim() != 2) return {};
  Tensor out = dense_layer(call, call.value("input"), call.tangent("input"), W, call.tangent("weight"));
  if (out.defined()) out = out.view(call.output_sizes());
  return {plus(out, bias).expand(call.output_sizes())};
}

// y = β s + α a b
Tensors addmm(const PushCall& call) {
  const auto number = [&](const char* name) { return call.argument(name).toScalar().toDouble(); };
  const auto scaled = [](const Tensor& t, double by) { return !t.defined() || by == 1 ? t : t * by; };
  Tensor W_tangent = call.tangent("mat2");
  if (W_tangent.defined()) W_tangent = W_tangent.transpose(1, 2);
  const Tensor product = dense_layer(call, call.value("mat1"), call.tangent("mat1"), call.value("mat2").t(), W_tangent);
  return {plus(scaled(product, number("alpha")), scaled(call.broadcast_tangent("self"), number("beta"))).expand(call.output_sizes())};
}

// C = A B, batched or not
Tensors product(const PushCall& call, const char* a, const char* b) {
  const Tensor A = call.value(a), B = call.value(b);
  if (A.dim() < 2 || B.dim() < 2) return each_query(call, a, b);
  const Tensor A_tangent = call.tangent(a), B_tangent = call.tangent(b);
  if (B.dim() == 2) {
    const Tensor out = dense_layer(call, A, A_tangent, B.t(), B_tangent.defined() ? B_tangent.transpose(1, 2) : B_tangent);
    return {out.view(call.output_sizes())};
  }
  // Ones after Q, so that batch dimensions meet their like.
  const int64_t rank = std::max(A.dim(), B.dim());
  const auto aligned = [&](Tensor t) {
    while (t.defined() && t.dim() < rank + 1) t = t.unsqueeze(1);
    return t;
  };
  Tensor out;
  if (A_tangent.defined()) out = at::matmul(aligned(A_tangent), B);
  if (B_tangent.defined()) out = plus(out, at::matmul(A, aligned(B_tangent)));
  return {out};
}

Tensors baddbmm(const PushCall& call) { return each_query(call, "batch1", "batch2", "self", call.argument("beta").toScalar().toDouble()); }

// y = a ∘ b
Tensors hadamard(const PushCall& call) {
  const Tensor a = call.broadcast_tangent("self"), b = call.broadcast_tangent("other");
  Tensor out;
  if (a.defined()) out = a * call.value("other");
  if (b.defined()) out = out.defined() ? out.addcmul(b, call.value("self")) : b * call.value("self");
  return {out.expand(call.output_sizes())};
}

// y = a / b:  ẏ = (ȧ − y ḃ) / b
Tensors quotient(const PushCall& call) {
  if (call.node.op.operator_name().overload_name.find("mode") != std::string::npos) return {};
  const Tensor a = call.broadcast_tangent("self"), b = call.broadcast_tangent("other"), divisor = call.value("other");
  if (!b.defined()) return {(a / divisor).expand(call.output_sizes())};
  const Tensor share = call.output() / divisor;
  return {(a.defined() ? (a / divisor).addcmul(b, share, -1) : b * -share).expand(call.output_sizes())};
}

struct Convolution {
  std::vector<int64_t> stride, padding, dilation;
  int64_t groups;
};

// y = a ⋆ W + c. All queries' images are one batch of Q·n; all queries' kernels are one layer of Q·out channels, group by group.
Tensors convolution(const PushCall& call, const Convolution& c) {
  const Tensor a = call.value("input"), W = call.value("weight"), a_tangent = call.tangent("input"), W_tangent = call.tangent("weight");
  const int64_t Q = call.queries(), out_channels = W.size(0);
  const auto run = [&](const Tensor& images, const Tensor& kernels) {
    const std::vector<int64_t> none(c.stride.size(), 0);
    return at::convolution(images, kernels, std::nullopt, c.stride, c.padding, c.dilation, /*transposed=*/false, none, c.groups);
  };
  Tensor out;
  if (a_tangent.defined()) out = run(a_tangent.flatten(0, 1), W).view(call.output_sizes());
  if (W_tangent.defined()) {
    std::vector<int64_t> kernels = W.sizes().vec();
    kernels[0] = c.groups * Q * (out_channels / c.groups);
    const Tensor grouped = W_tangent.unflatten(1, {c.groups, out_channels / c.groups}).transpose(0, 1).reshape(kernels);  // [G, Q, out/G, …]
    const Tensor moved = run(a, grouped);                                                                                   // [n, G·Q·out/G, …]
    const Tensor ordered = moved.unflatten(1, {c.groups, Q, out_channels / c.groups}).movedim(2, 0);                         // [Q, n, G, out/G, …]
    out = plus(out, ordered.reshape(call.output_sizes()));
  }
  if (const Tensor bias = call.has("bias") ? call.tangent("bias") : Tensor(); bias.defined()) {
    std::vector<int64_t> channels(size_t(a.dim()) + 1, 1);
    channels[0] = Q;
    channels[2] = out_channels;
    out = plus(out, bias.view(channels)).expand(call.output_sizes());
  }
  return {out};
}

Tensors convolution_any(const PushCall& call) {
  const int64_t spatial = call.value("weight").dim() - 2;
  const bool transposed = call.knows("transposed") && call.argument("transposed").toBool();
  if (transposed || call.argument("padding").isString() || call.value("input").dim() != spatial + 2) return each_query(call, "input", "weight", "bias");
  const auto numbers = [&](const char* name) {
    std::vector<int64_t> list = call.argument(name).toIntVector();
    if (list.size() == 1) list.resize(size_t(spatial), list[0]);
    return list;
  };
  return convolution(call, {numbers("stride"), numbers("padding"), numbers("dilation"), call.argument("groups").toInt()});
}

}  // namespace

PushTable bilinear_pushes() {
  return {{"aten::linear", linear},
          {"aten::addmm", addmm},
          {"aten::mm", [](const PushCall& call) { return product(call, "self", "mat2"); }},
          {"aten::bmm", [](const PushCall& call) { return product(call, "self", "mat2"); }},
          {"aten::matmul", [](const PushCall& call) { return product(call, "self", "other"); }},
          {"aten::mv", [](const PushCall& call) { return each_query(call, "self", "vec"); }},
          {"aten::baddbmm", baddbmm},
          {"aten::mul", hadamard},
          {"aten::div", quotient},
          {"aten::conv2d", convolution_any},
          {"aten::convolution", convolution_any}};
}

}  // namespace pathkernel
