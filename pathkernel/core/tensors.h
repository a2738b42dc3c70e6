#pragma once

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

namespace pathkernel {

using at::Tensor;
using Tensors = std::vector<Tensor>;

/// A tensor with the name its owner gives it: a parameter, a buffer, an optimizer's state.
struct NamedTensor {
  std::string name;
  Tensor tensor;
};
using NamedTensors = std::vector<NamedTensor>;

/// Number of scalars in a list of tensors (P of theory 0 when the list is a model's parameters).
int64_t count_numbers(const Tensors& tensors);
int64_t count_numbers(const NamedTensors& tensors);

/// The tensors without their names, sharing storage.
Tensors values(const NamedTensors& tensors);

/// Deep copies, detached, in the dtype asked for (or their own).
Tensors copies(const Tensors& tensors);
Tensors copies(const Tensors& tensors, at::ScalarType dtype);

/// "float32 [64, 1, 28, 28]", for messages.
std::string describe(const Tensor& tensor);

}  // namespace pathkernel
