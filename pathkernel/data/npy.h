#pragma once

#include <pathkernel/core/tensors.h>

#include <string>

namespace pathkernel {

/// Reads NumPy's .npy (versions 1 to 3, C or Fortran order, little endian f2 f4 f8 i1 i2 i4 i8 u1 b1).
/// @return a contiguous tensor on the CPU
/// @throws InvalidInput naming the file, what was found and what was expected (an unknown dtype: which NumPy call mends it).
/// Nothing is allocated that the file does not back.
Tensor read_npy(const std::string& path);

/// Writes version 1, C order, any device and strides; the file appears whole or not at all.
/// @throws InvalidInput for a dtype that NumPy does not have, or a file that cannot be written.
void write_npy(const std::string& path, const Tensor& tensor);

/// What such a file begins with; the numbers follow, at a multiple of 64 bytes. @throws InvalidInput as write_npy for the dtype
std::string npy_header(at::IntArrayRef sizes, at::ScalarType dtype);

}  // namespace pathkernel
