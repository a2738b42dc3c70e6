#pragma once

#include <pathkernel/core/tensors.h>

#include <memory>
#include <string>

namespace pathkernel {

enum class Mode { train, eval };

/// A network as everything downstream sees it: named parameters and buffers that can be read and rebound to other
/// storage, and a forward pass. Built-in C++ nets, any torch::nn::Module and a live Python nn.Module are all this.
class Model {
 public:
  virtual ~Model() = default;

  /// Trainable parameters in a fixed order. The tensors are the live ones (leaf, requires_grad).
  virtual NamedTensors parameters() const = 0;
  /// Buffers (running statistics and the like) in a fixed order; live.
  virtual NamedTensors buffers() const = 0;

  /// Outputs for a batch; every output's first dimension is the example.
  virtual Tensors forward(const Tensors& inputs, Mode mode) = 0;

  /// Lets parameter / buffer i use the storage of values[i] from now on (no copy). The former storage is left as it was, so
  /// whoever still refers to it keeps its numbers. The dtype may change (a float32 net evaluated in float64).
  /// @throws InvalidInput when a shape differs.
  void bind_parameters(const Tensors& values);
  void bind_buffers(const Tensors& values);

  /// How to build this model again, e.g. "mlp:784-128-10 relu"; empty for a user's own module.
  virtual std::string specification() const { return {}; }
};

}  // namespace pathkernel
