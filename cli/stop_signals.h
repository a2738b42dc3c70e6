#pragma once

#include <functional>

namespace pathkernel::cli {

/// While this lives, Ctrl-C (SIGINT) and SIGTERM ask the work to stop at its next good moment, instead of ending the program; a second
/// one of the same kind ends it at once. There is one at a time.
class StopSignals {
 public:
  StopSignals();
  ~StopSignals();
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;

  /// True once a signal has come.
  std::function<bool()> request() const;
};

}  // namespace pathkernel::cli
