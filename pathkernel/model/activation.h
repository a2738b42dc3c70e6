#pragma once

#include <pathkernel/core/tensors.h>

#include <string>

namespace pathkernel {

/// The elementwise functions between the layers of the built-in networks.
enum class Activation { relu, tanh, gelu, silu };

/// @throws InvalidInput for a name that is none of relu, tanh, gelu, silu.
Activation parse_activation(const std::string& name);
std::string to_string(Activation activation);

/// φ(x), elementwise; gelu is the exact x Φ(x), as torch's default.
Tensor apply(Activation activation, const Tensor& x);

}  // namespace pathkernel
