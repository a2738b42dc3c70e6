#include <ATen/ops/arange.h>
#include <ATen/ops/sqrt.h>
#include <ATen/ops/zeros.h>
#include <pathkernel/tangent/owners.h>
#include <pathkernel/tangent/rule.h>

#include <limits>

namespace pathkernel {
namespace {

/// x̂ = c·r with c = x − mean(x) (or x itself), r = 1/√(mean(c²) + ε); means over `dims`, counted from the end.
struct Normalised {
  Tensor centred, root, result;  ///< c, √(mean(c²)+ε), x̂
};

/// Both ends of x̂.
struct NormalisedEnds {
  Normalised at0, at1;
  std::vector<int64_t> dims;
  bool equal, centring;

  NormalisedEnds(const Ends& x, std::vector<int64_t> over, double eps, bool centring = true) : dims(std::move(over)), equal(x.equal()), centring(centring) {
    at0 = normalise(x.at0, eps);
    at1 = equal ? at0 : normalise(x.at1, eps);
  }
  Tensor mean(const Tensor& a, const Tensor& b) const { return equal ? a : (a + b) / 2; }
  Tensor result() const { return mean(at0.result, at1.result); }

  // From the cotangent u of x̂ to that of x: bilinear, 1/√ (−1/(√v₀√v₁(√v₀+√v₁))), mean square (c₀ + c₁), centre (linear)
  Tensor pull(const Tensor& u) const {
    const Tensor to_r = (u * mean(at0.centred, at1.centred)).sum(dims, true);
    const Tensor to_square = -to_r / (at0.root * at1.root * (at0.root + at1.root));
    const double count = double(u.numel()) / double(at0.root.numel());
    const Tensor to_centred = u * mean(1 / at0.root, 1 / at1.root) + to_square * (at0.centred + at1.centred) / count;
    return centring ? to_centred - to_centred.mean(dims, true) : to_centred;
  }

 private:
  Normalised normalise(const Tensor& x, double eps) const {
    const Tensor c = centring ? x - x.mean(dims, true) : x;
    const Tensor root = at::sqrt((c * c).mean(dims, true) + eps);
    return {c, root, c / root};
  }
};

std::vector<int64_t> last_dims(const Call& call) {
  std::vector<int64_t> dims;
  for (int64_t k = -int64_t(call.argument("normalized_shape").toIntVector().size()); k < 0; ++k) dims.push_back(k);
  return dims;
}

// y = x̂ γ + β, γ and β of the normalised shape: bilinear, and linear in β where the operation has one
void normalised_rows(Call& call, const NormalisedEnds& n, bool shifts) {
  const Tensor& v = call.cotangent();
  const bool scaled = call.has("weight");
  if (scaled && (call.wants_shared("weight") || call.wants("weight"))) call.give_elementwise("weight", v * n.result());
  if (shifts && call.has("bias")) call.give_elementwise("bias", v);
  if (call.wants("input")) call.give("input", n.pull(scaled ? v * call.ends("weight").mean() : v));
}

void layer_norm(Call& call) { normalised_rows(call, NormalisedEnds(call.ends("input"), last_dims(call), call.argument("eps").toDouble()), true); }

void rms_norm(Call& call) {
  const Ends x = call.ends("input");
  const c10::IValue& given = call.argument("eps");
  const double least = x.at0.scalar_type() == at::kDouble ? std::numeric_limits<double>::epsilon() : std::numeric_limits<float>::epsilon();
  const double eps = given.isNone() ? least : given.toDouble();
  normalised_rows(call, NormalisedEnds(x, last_dims(call), eps, /*centring=*/false), false);
}

/// [C, 1, 1, …] beside x [n, C, …]
std::vector<int64_t> of_channels(const Tensor& x) {
  std::vector<int64_t> shape(size_t(x.dim()) - 1, 1);
  shape[0] = x.size(1);
  return shape;
}

/// Σ over all but the channels, to an argument [C] that stood beside x [n, C, …]; per example where the examples share it.
void give_channels(Call& call, const char* argument, const Tensor& full) {
  const Slot* slot = call.slot(argument);
  if (slot == nullptr) return;
  const int64_t C = full.size(1);
  const Tensor rows = full.dim() > 2 ? full.flatten(2).sum(2) : full;
  if (call.wants(*slot)) call.give(*slot, rows.sum(0));
  if (!call.wants_shared(*slot)) return;
  const int64_t n = call.examples();
  const Tensor owner = call.owner(size_t(0));
  if (const auto d = example_dimension(owner, n); d && *d == 0) {
    call.give_shared(*slot, dense_factor(rows));
    return;
  }
  const Tensor places = owner * C + at::arange(C, owner.options()).reshape(of_channels(full));
  call.give_shared(*slot, dense_factor(at::zeros({n * C}, full.options()).index_add_(0, places.reshape(-1), full.reshape(-1)).view({n, C})));
}

// y = x̂ γ + β, γ and β per channel: bilinear, linear.  @return the cotangent of x̂
Tensor normalised_channels(Call& call, const Tensor& result) {
  const Tensor& v = call.cotangent();
  if (call.has("weight")) give_channels(call, "weight", v * result);
  if (call.has("bias")) give_channels(call, "bias", v);
  return call.has("weight") ? v * call.ends("weight").mean().reshape(of_channels(v)) : v;
}

// x̂ = (x − μ) r, r = 1/√(s + ε), with running statistics μ, s that differ at the two ends as the buffers do:
//     centre (linear), 1/√ (−1/(√v₀√v₁(√v₀+√v₁))), bilinear
void by_running_statistics(Call& call) {
  const Ends x = call.ends("input"), mean = call.ends("running_mean"), variance = call.ends("running_var");
  const std::vector<int64_t> shape = of_channels(x.at0);
  const double eps = call.argument("eps").toDouble();
  const auto centred = [&](const Tensor& t, const Tensor& m) { return t - m.reshape(shape); };
  const Tensor root0 = at::sqrt(variance.at0 + eps).reshape(shape), root1 = variance.equal() ? root0 : at::sqrt(variance.at1 + eps).reshape(shape);
  const Tensor c0 = centred(x.at0, mean.at0), c1 = x.equal() && mean.equal() ? c0 : centred(x.at1, mean.at1);
  const Tensor u = normalised_channels(call, (c0 / root0 + c1 / root1) / 2);
  const Tensor to_centred = u * ((1 / root0 + 1 / root1) / 2);
  if (call.wants("input")) call.give("input", to_centred);
  if (call.slot("running_mean") != nullptr) give_channels(call, "running_mean", -to_centred);
  if (call.slot("running_var") != nullptr) give_channels(call, "running_var", u * ((c0 + c1) / 2) * (-1 / (root0 * root1 * (root0 + root1))));
}

// Batch norm in eval mode; by the batch's own statistics no example has a cotangent of its own (owners.cpp refuses that).
void batch_norm(Call& call) { by_running_statistics(call); }

// over the channels of a group and all places
void by_groups(Call& call, int64_t groups) {
  const Ends x = call.ends("input");
  const auto grouped = [&](const Tensor& t) { return t.reshape({t.size(0), groups, -1}); };
  const Tensor x0 = grouped(x.at0);
  const NormalisedEnds n(x.equal() ? Ends{x0, x0} : Ends{x0, grouped(x.at1)}, {-1}, call.argument("eps").toDouble());
  const Tensor u = normalised_channels(call, n.result().view(x.at0.sizes()));
  if (call.wants("input")) call.give("input", n.pull(grouped(u)).view(x.at0.sizes()));
}

void group_norm(Call& call) { by_groups(call, call.argument("num_groups").toInt()); }

void instance_norm(Call& call) {
  if (call.argument("use_input_stats").toBool()) by_groups(call, call.ends("input").at0.size(1));
  else by_running_statistics(call);
}

}  // namespace

RuleTable normalisation_rules() {
  return {{"aten::layer_norm", layer_norm}, {"aten::native_layer_norm", layer_norm}, {"aten::rms_norm", rms_norm},
          {"aten::batch_norm", batch_norm}, {"aten::group_norm", group_norm},         {"aten::instance_norm", instance_norm}};
}

}  // namespace pathkernel
