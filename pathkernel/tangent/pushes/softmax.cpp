#include <ATen/ops/softmax.h>
#include <pathkernel/tangent/push.h>

namespace pathkernel {
namespace {

int64_t after_queries(int64_t dim) { return dim < 0 ? dim : dim + 1; }

// ẏ = p ∘ (ẋ − Σ p ẋ); a row masked whole has p = 0
Tensors softmax(const PushCall& call) {
  const Tensor p = call.output(), t = call.tangent("self") * p;
  const int64_t dim = after_queries(call.argument("dim").toInt());
  return {t.addcmul(p, t.sum(dim, true), -1)};
}

// ẏ = ẋ − Σ p ẋ
Tensors log_softmax(const PushCall& call) {
  const Tensor p = call.output().exp(), t = call.tangent("self");
  return {t - (t * p).sum(after_queries(call.argument("dim").toInt()), true)};
}

// ẏ = Σ p ẋ over the named dimensions
Tensors logsumexp(const PushCall& call) {
  const c10::IValue& named = call.argument("dim");
  const std::vector<int64_t> dims = named.isInt() ? std::vector<int64_t>{named.toInt()} : named.toIntVector();
  if (dims.size() != 1) return {};
  const Tensor p = at::softmax(call.value("self"), dims[0]);
  return {(call.tangent("self") * p).sum(after_queries(dims[0]), call.argument("keepdim").toBool())};
}

}  // namespace

PushTable softmax_pushes() {
  return {{"aten::softmax", softmax},         {"aten::_softmax", softmax},         {"aten::_safe_softmax", softmax},
          {"aten::log_softmax", log_softmax}, {"aten::_log_softmax", log_softmax}, {"aten::logsumexp", logsumexp}};
}

}  // namespace pathkernel
