#pragma once

#include "gram_kernel_options.h"

#include <pathkernel/data/dataset.h>

#include <CLI/CLI.hpp>

#include <string>
#include <vector>

namespace pathkernel::cli {

/// Where a machine's examples come from: --data, or --x with --y, or --gram with --y.
struct MachineDataOptions {
  DataSource source = {.location = ""};
  std::string x, y, gram, gram_diagonal, part = "test";

  /// @param fitting  for `fit`: the training part, and no --gram-diagonal
  void add_to(CLI::App& command, bool fitting);
};

/// Examples, or what stands for them.
struct MachineData {
  Tensor inputs;                     ///< float64 [n, ...]; undefined with --gram
  Tensor gram, gram_diagonal;        ///< as read; undefined without
  Tensor targets;                    ///< int64 [n] with classes, else float64 [n] or [n, k]; undefined where none were given
  std::vector<std::string> classes;  ///< of the targets
};

/// @throws InvalidInput for combinations that do not go together, and for what cannot be read
MachineData read_training(const MachineDataOptions& options, bool wants_targets);
/// @param classes  of the machine: targets become their indices
MachineData read_queries(const MachineDataOptions& options, const std::vector<std::string>& classes, bool wants_targets);

}  // namespace pathkernel::cli
