#pragma once

#include <pathkernel/core/folder_lock.h>
#include <pathkernel/core/tensors.h>
#include <pathkernel/record/recording.h>

#include <memory>
#include <string>

namespace pathkernel {

/// Writes a recording while a model trains, alone in its folder (FolderLock). Steps are committed at the next checkpoint or after a
/// second, whichever comes first. A checkpoint is copied and written by another thread, beside its final name, synced and renamed, and
/// enters the log when it is there. So a run killed at any moment leaves a recording that can be resumed, or, before its first step, a
/// folder without a database, which the next recording into it takes over.
class Recorder {
 public:
  /// A new recording. @param initial  state before the first step, which becomes checkpoint 0
  /// @param planned  the examples of every step where the manifest's seed does not give them; else empty
  /// @param plan_hash  hash_of(the examples of every step)
  /// @throws InvalidInput when `folder` is not vacant or cannot be written; what was made is then removed.
  Recorder(const std::string& folder, const Manifest& manifest, const Checkpoint& initial, const Tensors& planned, uint64_t plan_hash);
  /// Goes on with the interrupted recording in the folder of `lock`. What a killed run left half-written is removed.
  explicit Recorder(FolderLock lock);
  ~Recorder();

  /// @throws InvalidInput unless `folder` is missing, empty, or holds no more than what a recording leaves that was killed before its
  /// first step.
  static void check_vacant(const std::string& folder);

  /// After step record.step; record.hash is of the weights after it.
  void step(const StepRecord& record);
  /// True when a checkpoint belongs before step s: every manifest.checkpoint_every steps; where that is 0 (a run of unknown length),
  /// when the last one is √s steps old, 16 at least.
  bool wants_checkpoint(int64_t s) const;
  /// What goes wrong with its file (a full disk) is thrown by the next call, or by finish().
  void checkpoint(const Checkpoint& state);
  /// Status `running`: interrupted, to be resumed.
  void finish(RunStatus status);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// ⌈√T⌉ (theory 4g), or wider when so many checkpoints of `bytes` each would pass `budget` bytes on disk (0: no limit). The first and
/// the last state are always kept.
int64_t checkpoint_spacing(int64_t steps, int64_t bytes, int64_t budget);

}  // namespace pathkernel
