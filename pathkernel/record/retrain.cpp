#include <pathkernel/core/error.h>
#include <pathkernel/data/relabel.h>
#include <pathkernel/record/replay.h>
#include <pathkernel/record/retrain.h>

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <iterator>

namespace pathkernel {
namespace {

void check_dropped(const std::vector<int64_t>& dropped, int64_t examples) {
  if (!std::is_sorted(dropped.begin(), dropped.end())) throw InvalidInput("retrain_run: the examples to be dropped are not in ascending order; sort them");
  if (!dropped.empty() && (dropped.front() < 0 || dropped.back() >= examples))
    throw InvalidInput(fmt::format("retrain_run: example {} is to be dropped, but there are {}, counted from 0", dropped.front() < 0 ? dropped.front() : dropped.back(), examples));
}

}  // namespace

Manifest changed_manifest(const Recording& original, const DataChanges& changes) {
  Manifest manifest = original.manifest();
  manifest.retrained_from = std::filesystem::absolute(original.folder()).lexically_normal().string();
  std::vector<int64_t> dropped;
  std::set_union(manifest.dropped.begin(), manifest.dropped.end(), changes.dropped.begin(), changes.dropped.end(), std::back_inserter(dropped));
  manifest.dropped = std::move(dropped);
  manifest.renormalise = manifest.renormalise || changes.renormalise;
  manifest.data.relabelled.insert(manifest.data.relabelled.end(), changes.relabelled.begin(), changes.relabelled.end());
  return manifest;
}

RunOutcome retrain_run(const Recording& original, const std::string& folder, const Learner& learner, const Dataset& data, const DataChanges& changes,
                       const Progress& progress, const StopRequest& stop) {
  check_dropped(changes.dropped, original.manifest().examples);
  const Manifest manifest = changed_manifest(original, changes);
  if (static_cast<int64_t>(manifest.dropped.size()) == manifest.examples) throw InvalidInput("retrain_run: all examples are dropped: nothing is left to train on");
  const Dataset changed = relabelled(data, changes.relabelled);
  const Replay at_the_start(original, learner, data);  // checks model and data, and puts the initial weights in place
  return record_run(folder, manifest, learner, changed, original.planned_batches(), progress, stop);
}

}  // namespace pathkernel
