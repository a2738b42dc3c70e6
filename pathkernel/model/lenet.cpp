#include <pathkernel/core/error.h>
#include <pathkernel/model/initialiser.h>
#include <pathkernel/model/lenet.h>

#include <ATen/ops/conv2d.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/max_pool2d.h>
#include <fmt/format.h>

namespace pathkernel {

LeNet::LeNet(Activation activation, uint64_t seed, at::ScalarType dtype) : activation_(activation) {
  Initialiser initialiser(seed, dtype);
  const auto add = [&](const char* name, at::IntArrayRef weight_sizes) {
    auto [weight, bias] = initialiser.layer(weight_sizes);
    parameters_.push_back({fmt::format("{}.weight", name), weight});
    parameters_.push_back({fmt::format("{}.bias", name), bias});
  };
  add("conv1", {6, 1, 5, 5});
  add("conv2", {16, 6, 5, 5});
  add("fc1", {120, 400});
  add("fc2", {84, 120});
  add("fc3", {10, 84});
}

Tensors LeNet::forward(const Tensors& inputs, Mode) {
  const auto weight = [&](size_t layer) -> const Tensor& { return parameters_[2 * layer].tensor; };
  const auto bias = [&](size_t layer) -> const Tensor& { return parameters_[2 * layer + 1].tensor; };

  Tensor x = inputs.at(0);
  if (x.dim() != 4 || x.size(1) != 1 || x.size(2) != 28 || x.size(3) != 28)
    throw InvalidInput(fmt::format("lenet: layer conv1 takes images [n, 1, 28, 28], but the inputs are {}", describe(x)));
  x = at::conv2d(x, weight(0), bias(0), /*stride=*/1, /*padding=*/2);
  x = at::max_pool2d(apply(activation_, x), 2);
  x = at::conv2d(x, weight(1), bias(1));
  x = at::max_pool2d(apply(activation_, x), 2);
  x = at::linear(x.flatten(1), weight(2), bias(2));
  x = at::linear(apply(activation_, x), weight(3), bias(3));
  x = at::linear(apply(activation_, x), weight(4), bias(4));
  return {x};
}

std::string LeNet::specification() const { return "lenet " + to_string(activation_); }

}  // namespace pathkernel
