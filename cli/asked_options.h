#pragma once

#include <pathkernel/record/recording.h>
#include <pathkernel/sweep/sweep.h>

#include <CLI/CLI.hpp>

#include <string>
#include <vector>

namespace pathkernel::cli {

/// --network and --precision: which network is asked, and in which numbers.
struct AskedOptions {
  std::string network, precision;

  /// @return the two options
  std::vector<CLI::Option*> add_to(CLI::App& command);
  /// What was not given is as the run has it.
  void apply_to(SweepOptions& options, const Recording& recording) const;
};

}  // namespace pathkernel::cli
