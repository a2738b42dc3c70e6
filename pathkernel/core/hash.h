#pragma once

#include <pathkernel/core/tensors.h>

#include <cstdint>
#include <string>
#include <string_view>

namespace pathkernel {

/// XXH3, 64 bits, over the bytes of the tensors in order (each contiguous copy on the CPU, preceded by its dtype and sizes).
/// Equal hashes mean equal bits, and equal bits equal hashes. Cost: one read of the memory.
uint64_t hash_of(const Tensors& tensors);

/// XXH3, 64 bits, of plain bytes, and of a whole file (read in pieces; a checkpoint's checksum).
/// @throws InvalidInput when the file cannot be read.
uint64_t hash_of_bytes(std::string_view bytes);
uint64_t hash_of_file(const std::string& path);

/// Sixteen lower-case hexadecimal digits.
std::string hex(uint64_t hash);

}  // namespace pathkernel
