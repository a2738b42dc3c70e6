#pragma once

#include <cstdint>
#include <functional>
#include <string>

namespace pathkernel {

/// Called now and then by long work: what is being done, how much of it is done, of how much. The library never prints;
/// a program that wants a progress bar passes one of these. May throw to stop the work (nothing half-written is left).
using Progress = std::function<void(const std::string& what, int64_t done, int64_t total)>;

}  // namespace pathkernel
