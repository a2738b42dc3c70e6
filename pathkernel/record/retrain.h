#pragma once

#include <pathkernel/record/record_run.h>
#include <pathkernel/record/recording.h>

#include <string>
#include <vector>

namespace pathkernel {

/// What is to be other about the data when a run is repeated.
struct DataChanges {
  std::vector<int64_t> dropped = {};         ///< ascending: their loss has weight 0 (train/dropped.h)
  bool renormalise = false;                  ///< the others of a step share the weight of those dropped
  std::vector<Relabelling> relabelled = {};  ///< examples with another label
};

/// Repeats a recorded run with other data, and records it into `folder`: the same initial weights, order of the examples, random numbers,
/// learning rates and denominators. What was changed for `original` already stays changed. The new recording is as any other; its
/// manifest says what was changed, and of which run. With no changes it has the hashes of the original, where the environment is the same.
/// An original that was interrupted or diverged is repeated to the end that was planned.
/// @param learner  its model is of the recorded architecture, and its weights are overwritten   @param data  the training part of `original`
/// @throws InvalidInput as record_run and Replay do, for an example that is not there, or when nothing is left to train on.
RunOutcome retrain_run(const Recording& original, const std::string& folder, const Learner& learner, const Dataset& data, const DataChanges& changes,
                       const Progress& progress = {}, const StopRequest& stop = {});

/// The original's manifest with the changes in it, as the new run's begins.
Manifest changed_manifest(const Recording& original, const DataChanges& changes);

}  // namespace pathkernel
