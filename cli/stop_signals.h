#pragma once

#include <pathkernel/core/progress.h>

#include <functional>
#include <string>

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

/// A progress bar that ends the work when a signal has come. @param command  for the message
/// It throws Interrupted: of commands that write their files at the end, so that nothing is half-written.
Progress stoppable_bar(const StopSignals& signals, const std::string& command);

}  // namespace pathkernel::cli
