#include "opened_run.h"

#include <pathkernel/core/error.h>
#include <pathkernel/model/architectures.h>
#include <pathkernel/model/dtype.h>

#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <filesystem>

namespace pathkernel::cli {

OpenedRun open_run(const std::string& folder, const std::string& location, int64_t threads) {
  Recording recording = Recording::open(folder);
  const Manifest& manifest = recording.manifest();
  if (manifest.model.empty())
    throw InvalidInput(fmt::format("{}: was recorded from a module of another program, which this one cannot build; use the "
                                   "library there",
                                   folder));
  at::set_num_threads(static_cast<int>(threads > 0 ? threads : manifest.environment.threads));
  DataSource source = manifest.data;
  if (!location.empty()) source.location = location;
  TrainTest data = load(source);
  auto model = make_model(manifest.model, parse_dtype(manifest.dtype));
  return {std::move(recording), std::move(data), std::move(model)};
}

int64_t size_on_disk(const std::string& folder) {
  int64_t bytes = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder))
    if (entry.is_regular_file()) bytes += static_cast<int64_t>(entry.file_size());
  return bytes;
}

}  // namespace pathkernel::cli
