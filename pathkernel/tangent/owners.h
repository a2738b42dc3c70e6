#pragma once

#include <pathkernel/tangent/tape.h>

#include <optional>

namespace pathkernel {

/// The owner of per-example data: example i owns row i of the first dimension. [n] expanded to `sizes`, no memory.
Tensor leading_owner(const Tensor& arange, at::IntArrayRef sizes);

/// The owner of an operation's output, found by sending the owner indices the way the numbers went.
/// @param node    with its arguments as called
/// @param slot_owners  one per slot, undefined for shared values
/// @param output     the tensor it gave
/// @param constant   nothing is differentiated through it, so that a row may know of the others and still be its example's own
/// @throws InvalidInput when numbers of several examples were mixed (a batch-coupled operation), naming the operation.
Tensor output_owner(const Node& node, const Tensors& slot_tensors, const Tensors& slot_owners, const Tensor& output, size_t output_index, bool constant);

/// The dimension along which the example changes, when it is one whole dimension in order 0…n−1. Costs no read of the numbers
/// when the owner is still the expanded index it began as.
std::optional<int64_t> example_dimension(const Tensor& owner, int64_t n);

}  // namespace pathkernel
