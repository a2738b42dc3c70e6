#pragma once

#include <pathkernel/core/progress.h>
#include <pathkernel/data/dataset.h>
#include <pathkernel/model/model.h>
#include <pathkernel/record/recorder.h>

#include <string>
#include <vector>

namespace pathkernel {

struct RunOutcome {
  RunStatus status = RunStatus::complete;
  int64_t steps = 0;            ///< steps in the log; a diverged run left the finite numbers at this step (counted from 0)
  std::string trouble;          ///< diverged: "the loss is nan", "a weight of fc1.weight is not finite"
  double last_loss = 0;         ///< of the last step in the log
  double seconds = 0;           ///< training alone: forward, backward, update
  double recording_seconds = 0; ///< checking for finite weights, hashing and writing
};

/// Trains `model` on `data` as the manifest says and records it. batches[s] are the examples of step s.
/// manifest.model, .dtype, .environment, .data_fingerprint, .examples and .steps are filled in here; checkpoint_every where it
/// is 0. A loss or weight that is not finite ends the run as `diverged`: the log keeps the steps before it. A complete run ends
/// with a checkpoint of the final state.
/// @throws InvalidInput when `folder` exists and is not empty, or a batch does not fit the objective.
RunOutcome record_run(const std::string& folder, Manifest manifest, Model& model, const Dataset& data,
                      const std::vector<Tensor>& batches, const Progress& progress = {});

}  // namespace pathkernel
