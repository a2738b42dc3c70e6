#pragma once

#include "machine_data.h"

#include <pathkernel/machine/trained_machine.h>

#include <CLI/CLI.hpp>

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace pathkernel::cli {

/// What every `machine fit KIND` has.
struct FitOptions {
  MachineDataOptions data;
  GramKernelOptions kernel;
  std::string output, run, at = "end", memory = "4GiB";
  double jitter = 0;
  int64_t threads = 0;
  bool no_center = false, json = false;

  MachineOptions machine() const;
};

/// Examples, kernel and targets as the kinds fit them.
struct FitProblem {
  MachineData data;
  KernelPtr kernel;   ///< null with --gram and --run
  std::unique_ptr<Model> model;         ///< of --run, with its weights at --at; null without
  Tensor targets;     ///< float64 [n, k]: numbers less `offset`, or one column a class, 1 for its own and 0 for others, less 1/classes
  Tensor offset;      ///< [k]
  MachineOptions machine;

  int64_t examples() const { return data.gram.defined() ? data.gram.size(0) : data.inputs.size(0); }
  /// The Gram matrix: as given (then it is checked to be positive semi-definite), or computed, of a recorded network the trace of its tangent kernel.
  Tensor gram() const;
  /// Targets as class labels. @throws InvalidInput when they are numbers
  Tensor labels(const char* kind) const;
};

/// One kind: adds its own options to the command; fits, and says of the machine what there is to say.
struct FitKind {
  std::string name, description;
  bool wants_targets = true;
  std::function<void(CLI::App&)> add_options;
  std::function<TrainedMachine(const FitProblem&, std::vector<std::string>& notes)> fit;
};
FitKind ridge_kind();
FitKind gaussian_process_kind();
FitKind classifier_kind();
FitKind svm_kind();
FitKind pca_kind();
FitKind dynamics_kind();
FitKind finetune_kind();

/// Subcommands of `machine`.
void add_machine_fit(CLI::App& machine);
void add_machine_predict(CLI::App& machine);
void add_machine_score(CLI::App& machine);

}  // namespace pathkernel::cli
