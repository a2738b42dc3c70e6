#pragma once

#include <cstdint>
#include <string>

namespace pathkernel {

/// Bytes of "4GiB", "512 MiB", "1.5GB", "2G" or "1000000". KiB, MiB, GiB, TiB (or K, M, G, T) are powers of 1024; KB, MB, GB,
/// TB powers of 1000; upper and lower case are the same.
/// @throws InvalidInput for anything else, for zero and for more than 2^63−1.
int64_t parse_bytes(const std::string& text);

/// "812 B", "3.2 MiB", "12.0 GiB": binary units, for people.
std::string print_bytes(int64_t bytes);

}  // namespace pathkernel
