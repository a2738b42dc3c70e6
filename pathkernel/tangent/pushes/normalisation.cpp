#include <ATen/ops/rsqrt.h>
#include <ATen/ops/sqrt.h>
#include <pathkernel/tangent/push.h>

#include <limits>

namespace pathkernel {
namespace {

/// x̂ = c·r with c = x − mean(x) (or x itself), r = 1/√(mean(c²) + ε); means over `dims`, counted from the end.
struct Normalised {
  Tensor result, r;
  std::vector<int64_t> dims;
  bool centred;

  Normalised(const Tensor& x, std::vector<int64_t> dims, double eps, bool centred = true) : dims(std::move(dims)), centred(centred) {
    const Tensor c = centred ? x - x.mean(this->dims, true) : x;
    r = at::rsqrt((c * c).mean(this->dims, true) + eps);
    result = c * r;
  }

  // x̂˙ = r (ẋ − mean ẋ − x̂ mean(x̂ ẋ)), for x̂ has mean zero; without centring no mean ẋ.  @return a tensor of its own
  Tensor push(const Tensor& t) const {
    if (!t.defined()) return t;
    Tensor moved = centred ? t - t.mean(dims, true) : t.clone();
    return moved.addcmul_(result, (t * result).mean(dims, true), -1).mul_(r);
  }
};

/// The tangent of a scale or a shift as it stands beside x̂ of `rank` dimensions, where the value itself has `shape`.
Tensor beside(const Tensor& t, std::vector<int64_t> shape, int64_t rank) {
  if (!t.defined()) return t;
  shape.insert(shape.begin(), size_t(rank) - shape.size(), 1);
  shape.insert(shape.begin(), t.size(0));
  return t.reshape(shape);
}

// y = x̂ γ + β:  ẏ = x̂˙ γ + x̂ γ̇ + β̇.  @param moved  x̂˙, taken over   @param shape  of γ and β beside x̂
Tensors affine(const PushCall& call, const Tensor& normalised, Tensor moved, const std::vector<int64_t>& shape) {
  const Tensor scale = call.has("weight") ? beside(call.tangent("weight"), shape, normalised.dim()) : Tensor();
  const Tensor shift = call.knows("bias") && call.has("bias") ? beside(call.tangent("bias"), shape, normalised.dim()) : Tensor();
  if (moved.defined() && call.has("weight")) moved.mul_(call.value("weight").reshape(shape));
  if (scale.defined()) moved = moved.defined() ? moved.addcmul_(scale, normalised) : scale * normalised;
  if (shift.defined()) moved = moved.defined() ? moved.add_(shift) : shift;
  return {moved.expand(call.output_sizes())};
}

std::vector<int64_t> last_dims(const PushCall& call) {
  std::vector<int64_t> dims;
  for (int64_t k = -int64_t(call.argument("normalized_shape").toIntVector().size()); k < 0; ++k) dims.push_back(k);
  return dims;
}

Tensors layer_norm(const PushCall& call) {
  const Normalised n(call.value("input"), last_dims(call), call.argument("eps").toDouble());
  return affine(call, n.result, n.push(call.tangent("input")), call.argument("normalized_shape").toIntVector());
}

Tensors rms_norm(const PushCall& call) {
  const Tensor x = call.value("input");
  const c10::IValue& given = call.argument("eps");
  const double least = x.scalar_type() == at::kDouble ? std::numeric_limits<double>::epsilon() : std::numeric_limits<float>::epsilon();
  const double eps = given.isNone() ? least : given.toDouble();
  const Normalised n(x, last_dims(call), eps, /*centred=*/false);
  return affine(call, n.result, n.push(call.tangent("input")), call.argument("normalized_shape").toIntVector());
}

/// [C, 1, 1, …] beside x [n, C, …]
std::vector<int64_t> of_channels(const Tensor& x) {
  std::vector<int64_t> shape(size_t(x.dim()) - 1, 1);
  shape[0] = x.size(1);
  return shape;
}

/// Normed by given statistics: they are no functions of the parameters here.
Tensors by_running_statistics(const PushCall& call) {
  const Tensor x = call.value("input");
  const std::vector<int64_t> shape = of_channels(x);
  const Tensor r = at::rsqrt(call.value("running_var").reshape(shape) + call.argument("eps").toDouble());
  const Tensor t = call.tangent("input");
  return affine(call, (x - call.value("running_mean").reshape(shape)) * r, t.defined() ? t * r : t, shape);
}

// over all but the channels: through the statistics of the batch
Tensors batch_norm(const PushCall& call) {
  if (!call.argument("training").toBool() && call.has("running_mean")) return by_running_statistics(call);
  const Tensor x = call.value("input");
  std::vector<int64_t> dims = {-x.dim()};
  for (int64_t d = 2; d < x.dim(); ++d) dims.push_back(d - x.dim());
  const Normalised n(x, dims, call.argument("eps").toDouble());
  return affine(call, n.result, n.push(call.tangent("input")), of_channels(x));
}

// over the channels of a group and all places: [n, G, …]
Tensors by_groups(const PushCall& call, int64_t groups) {
  const Tensor x = call.value("input"), t = call.tangent("input");
  const Normalised n(x.reshape({x.size(0), groups, -1}), {-1}, call.argument("eps").toDouble());
  const Tensor moved = n.push(t.defined() ? t.reshape({call.queries(), x.size(0), groups, -1}) : t);
  return affine(call, n.result.view(x.sizes()), moved.defined() ? moved.view(call.output_sizes()) : moved, of_channels(x));
}

Tensors instance_norm(const PushCall& call) {
  if (!call.argument("use_input_stats").toBool()) return by_running_statistics(call);
  return by_groups(call, call.value("input").size(1));
}

}  // namespace

PushTable normalisation_pushes() {
  return {{"aten::layer_norm", layer_norm},
          {"aten::native_layer_norm", layer_norm},
          {"aten::rms_norm", rms_norm},
          {"aten::batch_norm", batch_norm},
          {"aten::group_norm", [](const PushCall& call) { return by_groups(call, call.argument("num_groups").toInt()); }},
          {"aten::instance_norm", instance_norm}};
}

}  // namespace pathkernel
