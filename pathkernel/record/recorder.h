#pragma once

#include <pathkernel/core/tensors.h>
#include <pathkernel/record/recording.h>

#include <memory>
#include <string>

namespace pathkernel {

/// Writes a recording while a model trains. Steps are committed at the next checkpoint or after a second, whichever comes first. A
/// checkpoint is copied and written by another thread, beside its final name, synced and renamed, and enters the log when it is
/// there. So a run killed at any moment leaves a recording that reads as "interrupted at step s".
class Recorder {
 public:
  /// @throws InvalidInput when `folder` exists and is not empty, or cannot be written.
  Recorder(const std::string& folder, const Manifest& manifest);
  ~Recorder();

  /// State before the first step; writes checkpoint 0.
  void begin(const Checkpoint& initial);
  /// After step record.step; record.hash is of the weights after it.
  void step(const StepRecord& record);
  /// True when a checkpoint belongs before step s (every manifest.checkpoint_every steps).
  bool wants_checkpoint(int64_t s) const;
  /// What goes wrong with its file (a full disk) is thrown by the next call, or by finish().
  void checkpoint(const Checkpoint& state);
  void finish(RunStatus status);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// ⌈√T⌉ (theory 4g), or wider when so many checkpoints of `bytes` each would pass `budget` bytes on disk (0: no limit). The first and
/// the last state are always kept.
int64_t checkpoint_spacing(int64_t steps, int64_t bytes, int64_t budget);

}  // namespace pathkernel
