#pragma once

#include <pathkernel/core/tensors.h>

#include <string>

namespace pathkernel {

/// Reads an idx file, the format of the MNIST files: two zero bytes, a type byte (08 uint8, 09 int8, 0B int16, 0C int32,
/// 0D float32, 0E float64), the number of dimensions, each dimension as 4 bytes, then the data; all big endian.
/// @return a tensor of that shape and type on the CPU
/// @throws InvalidInput naming the file, what was found and what was expected. Nothing is allocated that the file does not back.
Tensor read_idx(const std::string& path);

}  // namespace pathkernel
