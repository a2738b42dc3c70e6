#pragma once

#include <pathkernel/core/progress.h>
#include <pathkernel/data/dataset.h>
#include <pathkernel/record/recorder.h>
#include <pathkernel/train/learner.h>

#include <functional>
#include <string>
#include <vector>

namespace pathkernel {

struct RunOutcome {
  RunStatus status = RunStatus::complete;  ///< running: it was asked to stop, and can be resumed
  int64_t planned = 0;          ///< T
  int64_t first_step = 0;       ///< the first step made by this call: 0, or where resume_run went on
  int64_t steps = 0;            ///< steps in the log; a diverged run left the finite numbers at this step (counted from 0)
  std::string trouble;          ///< diverged: "the loss is nan", "a weight of fc1.weight is not finite"
  double last_loss = 0;         ///< of the last step in the log
  double seconds = 0;           ///< training alone: forward, backward, update
  double recording_seconds = 0; ///< checking for finite weights, hashing and writing
};

/// Asked before every step: true ends the run there, with all of its steps committed.
using StopRequest = std::function<bool()>;

/// Trains `learner` on `data` as the manifest says and records it. batches[s] are the examples of step s.
/// manifest.model, .dtype, .environment, .data_fingerprint, .examples and .steps are filled in here; checkpoint_every where it
/// is 0. A loss or weight that is not finite ends the run as `diverged`: the log keeps the steps before it. A complete run ends
/// with a checkpoint of the final state.
/// @throws InvalidInput when `folder` exists and is not empty, or a batch does not fit the objective.
RunOutcome record_run(const std::string& folder, Manifest manifest, const Learner& learner, const Dataset& data,
                      const std::vector<Tensor>& batches, const Progress& progress = {}, const StopRequest& stop = {});

/// Goes on with a run that was interrupted, to the bits of a run that was not: restores a checkpoint, repeats the steps that the log
/// has after it (at least one, if there is any: it shows that this environment gives the same bits), and makes the steps that are
/// left. A complete recording is left as it is. @param learner  its model is of the recorded architecture; its weights are overwritten
/// @throws InvalidInput when the run diverged, another process is writing it, or model or data are not the recorded ones;
/// ReplayMismatch when a repeated step gives other weights than the log says; CorruptData as Recording.
RunOutcome resume_run(const std::string& folder, const Learner& learner, const Dataset& data, const Progress& progress = {}, const StopRequest& stop = {});

}  // namespace pathkernel
