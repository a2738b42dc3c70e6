#pragma once

#include <pathkernel/core/progress.h>
#include <pathkernel/data/dataset.h>
#include <pathkernel/model/model.h>
#include <pathkernel/record/recorder.h>

#include <vector>

namespace pathkernel {

struct RunOutcome {
  RunStatus status = RunStatus::complete;
  int64_t steps = 0;
  double last_loss = 0;
  double seconds = 0;           ///< training alone: forward, backward, update
  double recording_seconds = 0; ///< hashing and writing
};

/// Trains `model` on `data` as the manifest says and records it. batches[s] are the examples of step s.
/// manifest.model, .environment, .data_fingerprint, .examples and .steps are filled in here.
/// A loss or weight that is not finite ends the run as `diverged` (the recording stays readable up to that step).
RunOutcome record_run(const std::string& folder, Manifest manifest, Model& model, const Dataset& data,
                      const std::vector<Tensor>& batches, const Progress& progress = {});

}  // namespace pathkernel
