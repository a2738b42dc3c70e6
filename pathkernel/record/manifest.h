#pragma once

#include <pathkernel/data/dataset.h>
#include <pathkernel/train/trainer.h>

#include <cstdint>
#include <string>
#include <vector>

namespace pathkernel {

/// Recordings are written in this format version. Older ones are read from `oldest_…` on; another version is refused by name.
inline constexpr int recording_format_version = 4, oldest_recording_format_version = 2;

/// Where a recording was made. Replay gives the same bits only where these agree.
struct Environment {
  std::string pathkernel, torch, cpu_capability, cpu_model, blas, system;
  int64_t threads = 1;
  /// This process: `threads` is what torch computes with now.
  static Environment here();
  /// What differs in this environment from `other`, "torch 2.13.0 instead of 2.12.1; threads 1 instead of 2"; empty when
  /// nothing that matters does.
  std::string difference(const Environment& other) const;
};

/// What was trained on what, how.
struct Manifest : TrainingSettings {
  std::string model;       ///< Model::specification(), empty for a user's own module
  std::string dtype = "float";  ///< float | double
  DataSource data;
  uint64_t data_fingerprint = 0;
  int64_t examples = 0;    ///< N
  int64_t batch = 64;
  int64_t steps = 0;       ///< T planned; 0: the steps are chosen as the run goes (LiveRun), and it is not finished
  double epochs = 0;
  uint64_t seed = 0;
  int64_t checkpoint_every = 0;  ///< steps between two checkpoints; 0 is replaced by ⌈√T⌉ when recording begins
  std::string retrained_from;    ///< folder of the run that this one repeats with other data (record/retrain.h); empty: none
  Environment environment;
};

}  // namespace pathkernel
