#include "opened_run.h"

#include <pathkernel/core/error.h>
#include <pathkernel/model/architectures.h>
#include <pathkernel/model/dtype.h>

#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>

namespace pathkernel::cli {

namespace {

/// @throws InvalidInput for what only the program that recorded it can build
void check_can_build(const Recording& recording) {
  const Manifest& m = recording.manifest();
  const auto refuse = [&](const std::string& what) {
    throw InvalidInput(fmt::format("{}: {}, which only the program that recorded it has; ask it there (in Python: pathkernel.open)", recording.folder(), what));
  };
  if (m.model.empty()) refuse("was recorded from a module of another program");
  if (m.model.starts_with("python:")) refuse(fmt::format("was recorded from Python's {}", m.model.substr(7)));
  if (m.objective.starts_with("python:")) refuse(fmt::format("was trained with Python's {}", m.objective.substr(7)));
  if (recording.steps() > 0 && recording.step(0).groups.find("}, {") != std::string::npos) refuse("was trained with several groups of parameters");
}

}  // namespace

OpenedRun open_run(const std::string& folder, const std::string& location, int64_t threads) {
  Recording recording = Recording::open(folder);
  const Manifest& manifest = recording.manifest();
  check_can_build(recording);
  at::set_num_threads(static_cast<int>(threads > 0 ? threads : manifest.environment.threads));
  DataSource source = manifest.data;
  if (!location.empty()) source.location = location;
  TrainTest data = load(source);
  auto model = make_model(manifest.model, parse_dtype(manifest.dtype));
  return {std::move(recording), std::move(data), std::move(model)};
}

void warn_of_fewer_checkpoints(const Recording& recording, int64_t wanted) {
  const auto steps = recording.checkpoint_steps();
  const auto there = static_cast<int64_t>(std::count_if(steps.begin(), steps.end(), [](int64_t s) { return s > 0; }));
  if (there < wanted) fmt::print(stderr, "pathkernel: {} checkpoints are asked for, and the run has {} after its beginning: those are taken\n", wanted, there);
}

int64_t size_on_disk(const std::string& folder) {
  int64_t bytes = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder))
    if (entry.is_regular_file()) bytes += static_cast<int64_t>(entry.file_size());
  return bytes;
}

}  // namespace pathkernel::cli
