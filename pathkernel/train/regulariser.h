#pragma once

#include <pathkernel/core/tensors.h>

#include <memory>
#include <string>

namespace pathkernel {

/// A term R(w) of the training loss that belongs to no example: the loss of a step is Σ_i b_i ℓ_i + R(w). In a ledger it is a
/// pseudo-example of its own (theory 2.1). All parameters take part, biases too.
/// Unlike weight decay it passes through the optimizer's history and preconditioner as any gradient does, clipping included.
class Regulariser {
 public:
  virtual ~Regulariser() = default;
  /// As make_regulariser() takes it: "l2:0.001".
  virtual std::string name() const = 0;
  /// R(w), summed in float64.
  virtual double value(const Tensors& parameters) const = 0;
  /// ∂R/∂w, one tensor per parameter, in its dtype and shape; on no graph.
  virtual Tensors gradient(const Tensors& parameters) const = 0;
};

/// l1:α  R = α ‖w‖₁, ∂R = α sign(w) (0 at 0)   |   l2:α  R = ½ α ‖w‖², ∂R = α w   |   "": none, a null pointer
/// @throws InvalidInput for any other name, or an α that is not above zero.
std::unique_ptr<Regulariser> make_regulariser(const std::string& name);

}  // namespace pathkernel
