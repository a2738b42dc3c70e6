#pragma once

#include <pathkernel/core/error.h>

#include <string>

namespace pathkernel {

/// No example of this batch has a gradient that its own rows hold: an operation mixes the examples (batch statistics, contrastive
/// losses), or the tape cannot tell whose a row is. Per-example shares then come from a pushforward (pushforward.h).
class CoupledBatch : public InvalidInput {
 public:
  /// Begins every message: a live Python module hands on the message alone.
  static constexpr const char* mark = "the tape: coupled examples: ";
  explicit CoupledBatch(const std::string& why) : InvalidInput(why.starts_with(mark) ? why : mark + why) {}
};

}  // namespace pathkernel
