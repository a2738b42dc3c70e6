#pragma once

#include <pathkernel/core/hash.h>
#include <pathkernel/data/batch_order.h>
#include <pathkernel/model/architectures.h>
#include <pathkernel/record/database.h>
#include <pathkernel/record/format.h>
#include <pathkernel/record/record_run.h>

#include <ATen/ATen.h>

#include <filesystem>
#include <functional>
#include <memory>
#include <string>

/// A run of fourteen steps to be recorded, interrupted and damaged.
namespace pathkernel::testing {

inline Dataset some_data() {
  at::manual_seed(11);
  Dataset data;
  data.name = "test data";
  data.inputs = at::randn({50, 6});
  data.targets = at::randint(3, {50});
  data.class_names = {"a", "b", "c"};
  return data;
}

inline std::unique_ptr<Model> some_model(at::ScalarType dtype = at::kFloat) { return make_model("mlp:6-8-3", "tanh", 4, dtype); }

struct SmallRun {
  OptimizerSettings optimizer = {};
  at::ScalarType dtype = at::kFloat;
  Progress progress = {};
  StopRequest stop = {};
  double ema = 0;
  int64_t accumulate = 1;
  bool shuffled = false;  ///< the order of the seed; else one of its own, with an example drawn twice in one batch
};

/// Two epochs with a short last batch each.
inline RunOutcome small_run(const std::string& folder, const SmallRun& run) {
  const Dataset data = some_data();
  auto batches = shuffled_batches(data.size(), 8, 2, 5);
  if (!run.shuffled) batches[1][1] = batches[1][0].clone();
  Manifest manifest;
  manifest.optimizer = run.optimizer;
  manifest.batch = 8;
  manifest.epochs = 2;
  manifest.seed = 5;
  manifest.ema = run.ema;
  manifest.accumulate = run.accumulate;
  const auto model = some_model(run.dtype);
  return record_run(folder, manifest, *model, data, batches, run.progress, run.stop);
}

/// A folder as a kill leaves it: a copy made between two steps of a run, while its database is in use.
inline void killed_at(const std::string& folder, const std::string& run, SmallRun settings, int64_t step) {
  namespace fs = std::filesystem;
  settings.progress = [&](const std::string&, int64_t s, int64_t) {
    if (s != step || fs::exists(folder)) return;
    fs::create_directories(fs::path(folder) / format::checkpoint_folder);
    std::error_code vanished;  // a checkpoint that is being written changes its name
    for (const auto& entry : fs::recursive_directory_iterator(run))
      if (entry.is_regular_file(vanished)) fs::copy_file(entry.path(), fs::path(folder) / fs::relative(entry.path(), run), vanished);
  };
  small_run(run, settings);
}

inline void run_sql(const std::string& path, const std::string& sql) { Database(path, Database::Access::create).run(sql); }

/// Changes a line of the log as a program would that knows its checksum.
inline void change_step(const std::string& folder, int64_t step, const std::function<void(StepRecord&)>& change) {
  StepRecord record = Recording::open(folder).step(step);
  change(record);
  Database database((std::filesystem::path(folder) / format::database_name).string(), Database::Access::existing);
  Statement update = database.prepare("UPDATE steps SET indices=?, random_seed=?, lr=?, loss=?, hash=?, checksum=? WHERE step=?");
  update.bind_blob(1, format::index_bytes(record.indices)).bind_text(2, hex(record.random_seed)).bind(3, record.lr).bind(4, record.loss);
  update.bind_text(5, hex(record.hash)).bind_text(6, hex(format::checksum(record))).bind(7, step).next();
}

}  // namespace pathkernel::testing
