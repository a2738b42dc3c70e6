#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace pathkernel::cli {

/// "0,10,50,100-105", in this order.  @param what  for the message, "evolution: --steps"   @throws InvalidInput naming the piece that is not understood
std::vector<int64_t> parse_step_list(const std::string& text, const std::string& what);

}  // namespace pathkernel::cli
