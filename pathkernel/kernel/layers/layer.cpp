#include <pathkernel/kernel/layers/layer.h>

#include <pathkernel/core/error.h>
#include <pathkernel/core/random.h>

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/ops/empty.h>
#include <fmt/format.h>

#include <functional>
#include <numeric>

namespace pathkernel::stax {
namespace {

void check_single(size_t count, const Layer& layer) {
  if (count != 1)
    throw InvalidInput(fmt::format("layer {} takes one signal, but {} arrive; after fanout comes parallel(…), and faninsum brings the branches "
                                   "together",
                                   layer.specification(), count));
}

}  // namespace

ParameterDraw::ParameterDraw(uint64_t seed, at::ScalarType dtype)
    : generator_(at::make_generator<at::CPUGeneratorImpl>(stream_seed(seed, Stream::initial_weights, 0))), dtype_(dtype) {}

void ParameterDraw::normal(const std::string& name, at::IntArrayRef sizes, double std) {
  Tensor t = at::empty(sizes, at::TensorOptions().dtype(dtype_));
  t.normal_(0, std, generator_);
  parameters.push_back({layer + "." + name, t.requires_grad_(true)});
}

std::vector<Need> SingleLayer::needs(const std::vector<Need>& of_outputs) const {
  check_single(of_outputs.size(), *this);
  return {need(of_outputs[0])};
}

std::vector<KernelState> SingleLayer::propagate(std::vector<KernelState> inputs, const std::vector<Need>&, uint64_t draw) const {
  check_single(inputs.size(), *this);
  propagate(inputs[0], draw);
  return inputs;
}

std::vector<Shape> SingleLayer::draw(const std::vector<Shape>& inputs, ParameterDraw& to) const {
  check_single(inputs.size(), *this);
  return {draw(inputs[0], to)};
}

double SingleLayer::numbers_per_pair(std::vector<int64_t>& space, const std::vector<Need>& of_outputs) const {
  const auto S = static_cast<double>(std::accumulate(space.begin(), space.end(), int64_t{1}, std::multiplies<>()));
  const double state = need(of_outputs.at(0)).all_positions ? S * S : S;
  space = space_after(space);
  return 12 * state + scratch_per_pair(S);  // K and Θ, before and after, and what a formula holds on the way
}

Tensors SingleLayer::forward(Tensors inputs, ParameterReader& parameters) const {
  check_single(inputs.size(), *this);
  return {forward(inputs[0], parameters)};
}

}  // namespace pathkernel::stax
