#include <pathkernel/core/error.h>
#include <pathkernel/model/activation.h>

#include <ATen/ops/gelu.h>
#include <ATen/ops/relu.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/tanh.h>
#include <fmt/format.h>

namespace pathkernel {

Activation parse_activation(const std::string& name) {
  if (name == "relu") return Activation::relu;
  if (name == "tanh") return Activation::tanh;
  if (name == "gelu") return Activation::gelu;
  if (name == "silu") return Activation::silu;
  throw InvalidInput(fmt::format("unknown activation \"{}\": use relu, tanh, gelu or silu", name));
}

std::string to_string(Activation activation) {
  switch (activation) {
    case Activation::relu: return "relu";
    case Activation::tanh: return "tanh";
    case Activation::gelu: return "gelu";
    case Activation::silu: return "silu";
  }
  throw InvariantViolated("to_string: no such activation");
}

Tensor apply(Activation activation, const Tensor& x) {
  switch (activation) {
    case Activation::relu: return at::relu(x);
    case Activation::tanh: return at::tanh(x);
    case Activation::gelu: return at::gelu(x);
    case Activation::silu: return at::silu(x);
  }
  throw InvariantViolated("apply: no such activation");
}

}  // namespace pathkernel
