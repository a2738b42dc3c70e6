#pragma once

#include <pathkernel/core/tensors.h>

#include <ATen/core/Generator.h>

#include <cstdint>

namespace pathkernel {

/// Draws the weights of a layer as torch.nn.Linear and torch.nn.Conv2d do: weight, then bias, both uniform on
/// ±1/√fan_in (He et al. 2015, "Kaiming uniform" with a = √5), in the dtype asked for, from one stream of random numbers.
class Initialiser {
 public:
  /// @param seed  of the run; the numbers come from its stream `initial_weights`
  Initialiser(uint64_t seed, at::ScalarType dtype);

  struct Layer { Tensor weight, bias; };  ///< leaf tensors that require gradients
  /// @param weight_sizes  [out, in, ...]; fan_in is the product of all but the first. The bias is [out].
  Layer layer(at::IntArrayRef weight_sizes);
  /// The weight alone, of a layer without a bias.
  Tensor weight(at::IntArrayRef weight_sizes);

 private:
  Tensor uniform(at::IntArrayRef sizes, double bound);

  at::Generator generator_;
  at::ScalarType dtype_;
};

}  // namespace pathkernel
