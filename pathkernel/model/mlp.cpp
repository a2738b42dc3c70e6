#include <pathkernel/core/error.h>
#include <pathkernel/model/initialiser.h>
#include <pathkernel/model/mlp.h>

#include <ATen/ops/linear.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

namespace pathkernel {

Mlp::Mlp(std::vector<int64_t> widths, Activation activation, uint64_t seed, at::ScalarType dtype)
    : widths_(std::move(widths)), activation_(activation) {
  Initialiser initialiser(seed, dtype);
  for (size_t l = 1; l < widths_.size(); ++l) {
    auto [weight, bias] = initialiser.layer({widths_[l], widths_[l - 1]});
    parameters_.push_back({fmt::format("fc{}.weight", l), weight});
    parameters_.push_back({fmt::format("fc{}.bias", l), bias});
  }
}

Tensors Mlp::forward(const Tensors& inputs, Mode) {
  Tensor x = inputs.at(0);
  if (x.dim() != 2) x = x.flatten(1);
  if (x.size(1) != widths_.front())
    throw InvalidInput(fmt::format("{}: layer fc1 takes {} numbers per example, but an example has {} ({}); a network for it "
                                   "begins mlp:{}-…",
                                   specification(), widths_.front(), x.size(1), describe(inputs[0]), x.size(1)));
  for (size_t l = 0; l < parameters_.size(); l += 2) {
    if (l > 0) x = apply(activation_, x);
    x = at::linear(x, parameters_[l].tensor, parameters_[l + 1].tensor);
  }
  return {x};
}

std::string Mlp::specification() const { return fmt::format("mlp:{} {}", fmt::join(widths_, "-"), to_string(activation_)); }

}  // namespace pathkernel
