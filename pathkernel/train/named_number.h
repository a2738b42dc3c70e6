#pragma once

#include <optional>
#include <string>

namespace pathkernel {

/// "huber:0.5", "l2:1e-3", "hinge": what a setting is called, and the number behind the colon where there is one.
struct NamedNumber {
  std::string name;
  std::optional<double> number;
};

/// @param what  for the message: "loss"   @throws InvalidInput when something stands behind the colon that is no finite number
NamedNumber parse_named_number(const std::string& what, const std::string& text);

}  // namespace pathkernel
