#pragma once

#include <pathkernel/model/model.h>

#include <cstdint>
#include <memory>

namespace pathkernel {

/// The first output of a network as numbers, [n, O].
Tensor first_output_numbers(const Tensors& outputs);

/// A network as a function that is linear in its weights, around those that it has: f(x) + J(x)v, J = ∂f/∂w over all parameters, f the O numbers of the first output in eval
/// mode. Its tangent kernel K = JJᵀ [nO, nO] is never formed: a product costs one vector-Jacobian product and one Jacobian-vector product (theory 8), on passes that are made
/// once and kept where they fit the memory. Rows (i, o) of n inputs and O outputs are counted i·O + o.
/// Everything is in the weights' dtype, and about the weights that the model has at the time of the call: nobody may change them while this lives.
class Linearised {
 public:
  /// @param inputs  as the model takes them, [n, …]   @param memory  bytes for passes that are kept; a block of inputs is worked on in any case
  /// @throws InvalidInput for no inputs; CoupledBatch where an output depends on other inputs of its batch
  Linearised(Model& model, Tensors inputs, int64_t memory = int64_t{4} << 30);
  ~Linearised();
  Linearised(const Linearised&) = delete;
  Linearised& operator=(const Linearised&) = delete;

  int64_t examples() const;
  int64_t outputs() const;  ///< O
  /// f, [n, O]
  const Tensor& values() const;
  /// JᵀV for V [nO, k]: per parameter [k, W], W its numbers. k backward passes.
  Tensors pull(const Tensor& V) const;
  /// Jv for v per parameter [k, W] (undefined: zero): [nO, k]. One walk over the tape for as many columns as fit.
  Tensor push(const Tensors& v) const;
  /// KV, [nO, k]
  Tensor product(const Tensor& V) const { return push(pull(V)); }
  /// A column of K, [nO]: a backward pass of one input.
  Tensor column(int64_t row) const;
  /// K's diagonal, [nO], from the layers' factors: O backward passes of all inputs.
  Tensor diagonal() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace pathkernel
