#pragma once

#include <pathkernel/core/tensors.h>
#include <pathkernel/record/manifest.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace pathkernel {

/// One line of the step log: everything needed to repeat step s.
struct StepRecord {
  int64_t step = 0;
  Tensor indices;         ///< [n] int64, in the order they stood in the batch
  uint64_t random_seed = 0;
  double lr = 0;
  double loss = 0;        ///< batch loss before the update
  uint64_t hash = 0;      ///< hash_of(parameters, buffers) after the update
  std::string groups;     ///< Optimizer::groups() at this step. Written: only where they changed
};

/// State at the start of step `step`.
struct Checkpoint {
  int64_t step = 0;
  NamedTensors parameters, buffers, optimizer;
  NamedTensors average;   ///< of the weights, where one is kept
};

enum class RunStatus { running, complete, diverged };

/// A training run on disk, opened for reading: a folder with `recording.sqlite` (manifest and step log) and
/// `checkpoints/*.safetensors`. Format: docs/recording.md.
class Recording {
 public:
  /// @throws InvalidInput when `folder` is no recording, CorruptData when it is damaged or of another format version.
  static Recording open(const std::string& folder);
  Recording(Recording&&) noexcept;
  Recording& operator=(Recording&&) noexcept;
  ~Recording();

  const std::string& folder() const;
  const Manifest& manifest() const;
  RunStatus status() const;
  /// T: steps in the log (fewer than planned for a run that was interrupted or diverged).
  int64_t steps() const;
  /// "12 of 100 steps", or "12 steps" where nobody planned how many.
  std::string progress() const;
  /// 0 ≤ s < steps(). @throws CorruptData when the line was changed
  StepRecord step(int64_t s) const;
  /// Hash of the initial weights.
  uint64_t initial_hash() const;
  /// Steps that have a checkpoint, ascending; the first is 0.
  std::vector<int64_t> checkpoint_steps() const;
  /// The examples of every planned step, those made and those to be made; of a run whose steps are chosen as it goes, those made. @throws CorruptData when they are not what the run began with.
  Tensors planned_batches() const;
  /// Reads and checks one: the file's checksum, and its weights against the hash in the log. @throws CorruptData naming the file.
  Checkpoint checkpoint(int64_t step) const;

 private:
  struct Impl;
  explicit Recording(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace pathkernel
