#pragma once

#include <pathkernel/record/record_run.h>
#include <pathkernel/record/replay.h>

namespace pathkernel {

/// Brings the state from a checkpoint to the end of an interrupted run's log, repeating at least one step if there is any: it shows that
/// this environment gives the same bits. Checkpoints on the way that the run was killed before are written now.
/// @return false when it was asked to stop before   @throws ReplayMismatch when a repeated step gives other weights than the log says
bool catch_up(const Recording& recording, Replay& replay, Model& model, Recorder& recorder, const Progress& progress, const StopRequest& stop);

}  // namespace pathkernel
