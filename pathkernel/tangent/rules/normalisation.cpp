#include <ATen/ops/sqrt.h>
#include <pathkernel/tangent/rule.h>

namespace pathkernel {
namespace {

/// x̂ = c·r with c = x − mean(x), r = 1/√(mean(c²) + ε), over the last dimensions.
struct Normalised {
  Tensor centred, root, result;  ///< c, √(mean(c²)+ε), x̂
};

Normalised normalise(const Tensor& x, at::IntArrayRef dims, double eps) {
  const Tensor centred = x - x.mean(dims, true);
  const Tensor root = at::sqrt((centred * centred).mean(dims, true) + eps);
  return {centred, root, centred / root};
}

// y = x̂ γ + β as a composition: centre (linear), mean square (c₀ + c₁), 1/√ (−1/(√v₀√v₁(√v₀+√v₁))), bilinear, bilinear
void layer_norm(Call& call) {
  const std::vector<int64_t> shape = call.argument("normalized_shape").toIntVector();
  std::vector<int64_t> dims;
  for (int64_t k = -int64_t(shape.size()); k < 0; ++k) dims.push_back(k);
  const double eps = call.argument("eps").toDouble();
  const Ends x = call.ends("input");
  const Normalised n0 = normalise(x.at0, dims, eps);
  const Normalised n1 = x.equal() ? n0 : normalise(x.at1, dims, eps);
  const auto mean = [&](const Tensor& a, const Tensor& b) { return x.equal() ? a : (a + b) / 2; };
  const Tensor& v = call.cotangent();
  const bool scaled = call.has("weight");
  if (scaled && (call.wants_shared("weight") || call.wants("weight"))) call.give_elementwise("weight", v * mean(n0.result, n1.result));
  if (call.has("bias")) call.give_elementwise("bias", v);
  if (!call.wants("input")) return;
  const Tensor u = scaled ? v * call.ends("weight").mean() : v;                       // cotangent of x̂
  const Tensor centred = mean(n0.centred, n1.centred);
  const Tensor to_scale = (u * centred).sum(dims, true);                              // of r
  const Tensor to_square = to_scale * -1 / (n0.root * n1.root * (n0.root + n1.root)); // of mean(c²)
  const double count = double(x.at0.numel()) / double(n0.root.numel());
  const Tensor to_centred = u * mean(1 / n0.root, 1 / n1.root) + to_square * (n0.centred + n1.centred) / count;
  call.give("input", to_centred - to_centred.mean(dims, true));
}

}  // namespace

RuleTable normalisation_rules() { return {{"aten::layer_norm", layer_norm}, {"aten::native_layer_norm", layer_norm}}; }

}  // namespace pathkernel
