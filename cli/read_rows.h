#pragma once

#include <pathkernel/core/tensors.h>

#include <string>

namespace pathkernel::cli {

/// A .npy file with a row for each example. @throws InvalidInput for one that cannot be read, or holds a single number and no rows
Tensor read_rows(const std::string& path);

/// Inputs of kernels, [n, ...]; numbers [n] become [n, 1].
Tensor read_inputs(const std::string& path, at::ScalarType dtype = at::kDouble);

}  // namespace pathkernel::cli
