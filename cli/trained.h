#pragma once

#include <pathkernel/data/dataset.h>
#include <pathkernel/model/model.h>
#include <pathkernel/record/record_run.h>

#include <string>

namespace pathkernel::cli {

/// Prints what `train` and `resume` say of a run that is complete: its steps, the network on the test data, the time.
/// @throws Diverged or Interrupted when it ended otherwise.
void report_training(const std::string& folder, const Manifest& manifest, const RunOutcome& run, Model& model, const TrainTest& data, bool json);

}  // namespace pathkernel::cli
