#pragma once

#include <pathkernel/core/progress.h>

#include <string>

namespace pathkernel::cli {

/// "0.8 s", "12 s", "2 min 05 s", "1 h 02 min"
std::string print_duration(double seconds);

/// A progress bar with the time left on the last line of the terminal; nothing at all when the standard error is none, so that
/// logs and scripts see only results. The line is wiped when the work is done or has failed.
Progress progress_bar();

}  // namespace pathkernel::cli
