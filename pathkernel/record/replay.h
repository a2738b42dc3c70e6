#pragma once

#include <pathkernel/core/progress.h>
#include <pathkernel/data/dataset.h>
#include <pathkernel/train/learner.h>
#include <pathkernel/record/recording.h>
#include <pathkernel/train/trainer.h>

#include <memory>

namespace pathkernel {

/// Repeats a recorded run step by step, with the same operations in the same order, and checks every step's hash.
class Replay {
 public:
  /// @param learner  its model is of the recorded architecture; its weights are overwritten
  /// @param data   the training part; its fingerprint must be the recorded one
  /// @throws InvalidInput naming the first difference between model or data and what was recorded.
  /// The replay refers to all three; it begins at step 0.
  Replay(const Recording& recording, const Learner& learner, const Dataset& data);

  /// Puts the state at the start of step s in place (s must have a checkpoint): parameters and buffers are bound to fresh
  /// storage.
  void restore(int64_t s);
  /// The step that the next call to advance() repeats.
  int64_t position() const;
  /// Repeats one step; `observer` watches it from inside. Returns the log's line; `exact` says whether the hash agreed.
  struct Repeated { StepRecord record; Batch batch; bool exact; };
  Repeated advance(StepObserver* observer = nullptr);

  /// Objective, optimizer (after advance(): with the realised linear form of the step just made), average of the weights.
  const Trainer& trainer() const;
  Trainer& trainer();  ///< to train on from here

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

/// Outcome of replaying a whole recording.
struct Verification {
  int64_t steps = 0;                  ///< how many were repeated; the last one is the first that differs, if any does
  int64_t first_difference = -1;      ///< −1: every hash agreed
  std::string environment_difference; ///< empty when the environment is the recorded one
};
/// Reads every checkpoint (checksums), then repeats the run from the start until a hash differs.
Verification verify(const Recording& recording, const Learner& learner, const Dataset& data, const Progress& progress = {});

}  // namespace pathkernel
