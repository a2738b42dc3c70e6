#pragma once

#include <pathkernel/data/dataset.h>
#include <pathkernel/model/model.h>
#include <pathkernel/record/recording.h>

#include <memory>
#include <string>

namespace pathkernel::cli {

/// A recording with what is needed to repeat it.
struct OpenedRun {
  Recording recording;
  TrainTest data;
  std::unique_ptr<Model> model;  ///< of the recorded architecture and dtype, with weights that mean nothing yet
};

/// Opens the recording, loads its data again (from `location`, where the data have moved) and builds its model. Computes with as
/// many threads as were recorded, or with `threads` if that is not 0, because replay gives the same bits only then.
/// @throws InvalidInput, CorruptData as Recording::open and load do; InvalidInput when the model is a user's own module.
OpenedRun open_run(const std::string& folder, const std::string& location = {}, int64_t threads = 0);

/// Says so where a run has fewer checkpoints after its beginning than are asked for: those it has are taken.
void warn_of_fewer_checkpoints(const Recording& recording, int64_t wanted);

/// Bytes of all files in a folder.
int64_t size_on_disk(const std::string& folder);

}  // namespace pathkernel::cli
