#pragma once

#include <cstdint>

namespace pathkernel {

/// Steps from … until−1 of a run.
struct Window {
  int64_t from = 0, until = 0;
  int64_t steps() const { return until - from; }
};

}  // namespace pathkernel
