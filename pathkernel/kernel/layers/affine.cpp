#include <pathkernel/kernel/layers/affine.h>

#include <pathkernel/core/error.h>
#include <pathkernel/kernel/specification.h>

#include <ATen/ops/addcmul.h>
#include <fmt/format.h>

#include <cmath>

namespace pathkernel::stax {

Affine::Affine(const std::string& name, const AffineOptions& options) : options_(options), parameters_("layer " + name) {
  parameters_.add("W_std", options.W_std, Range::not_negative);
  if (options.b_std) parameters_.add("b_std", *options.b_std, Range::not_negative);
}

void Affine::mix(KernelState& state, double inputs_per_unit) const {
  const Tensor w = parameters_["W_std"].square();
  const Tensor b = options_.b_std ? parameters_["b_std"].square() : Tensor();
  const auto affine = [&](const Tensor& K) { return b.defined() ? (K * w).add_(b) : K * w; };
  const bool standard = options_.parametrization == Parametrization::standard;
  if (state.with_tangent && standard && inputs_per_unit <= 0)
    throw InvalidInput(fmt::format("layer {}: the tangent kernel of the standard parametrisation depends on the widths; write them, e.g. "
                                   "dense:512,standard, in this layer and in those before it",
                                   specification()));
  const Tensor before = state.K;
  state.K = affine(state.K);
  if (state.own_x.defined()) state.own_x = affine(state.own_x);
  if (state.own_y.defined()) state.own_y = affine(state.own_y);
  if (state.with_tangent) {
    const Tensor own = standard ? before * inputs_per_unit + (options_.b_std ? 1.0 : 0.0) : state.K;
    state.Theta = state.Theta.defined() ? at::addcmul(own, state.Theta, w) : own;
  }
  state.channels = options_.width;
  state.gaussian = true;
  state.independent.assign(state.independent.size(), true);
}

int64_t Affine::width_for(const ParameterDraw& draw) const {
  const int64_t width = options_.width > 0 ? options_.width : draw.width;
  if (width <= 0)
    throw InvalidInput(fmt::format("layer {} has no width; write it (dense:512), or give the finite network a default", specification()));
  return width;
}

void Affine::draw_affine(at::IntArrayRef weight_sizes, ParameterDraw& to) const {
  double inputs = 1;
  for (const int64_t size : weight_sizes.slice(1)) inputs *= static_cast<double>(size);
  const bool standard = options_.parametrization == Parametrization::standard;
  to.normal("W", weight_sizes, standard ? parameters_["W_std"].item<double>() / std::sqrt(inputs) : 1);
  if (options_.b_std) to.normal("b", {weight_sizes[0]}, standard ? parameters_["b_std"].item<double>() : 1);
}

std::pair<Tensor, Tensor> Affine::read_affine(ParameterReader& parameters) const {
  const Tensor W = parameters.next(), b = options_.b_std ? parameters.next() : Tensor();
  if (options_.parametrization == Parametrization::standard) return {W, b};
  const double inputs = static_cast<double>(W.numel() / W.size(0));
  return {W * (parameters_["W_std"].item<double>() / std::sqrt(inputs)), b.defined() ? b * parameters_["b_std"].item<double>() : b};
}

std::string Affine::written(const std::string& name, const std::string& before) const {
  std::string text = before;
  const auto append = [&](const std::string& argument) { text += (text.empty() ? "" : ",") + argument; };
  if (options_.width > 0) append(fmt::format("{}{}", before.empty() ? "" : "width=", options_.width));
  append("w=" + print_numbers(parameters_["W_std"]));
  if (options_.b_std) append("b=" + print_numbers(parameters_["b_std"]));
  if (options_.parametrization == Parametrization::standard) append("standard");
  return name + ":" + text;
}

}  // namespace pathkernel::stax
