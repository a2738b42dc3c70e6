#pragma once

#include <pathkernel/core/tensors.h>

#include <cstdint>
#include <string>

namespace pathkernel {

/// XXH3, 64 bits, over the bytes of the tensors in order (each contiguous copy on the CPU, preceded by its dtype and sizes).
/// Equal hashes mean equal bits, and equal bits equal hashes. Cost: one read of the memory.
uint64_t hash_of(const Tensors& tensors);

/// Sixteen lower-case hexadecimal digits.
std::string hex(uint64_t hash);

}  // namespace pathkernel
