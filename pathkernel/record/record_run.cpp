#include <pathkernel/core/error.h>
#include <pathkernel/core/hash.h>
#include <pathkernel/data/batch_order.h>
#include <pathkernel/record/catch_up.h>
#include <pathkernel/record/logged_training.h>
#include <pathkernel/record/record_run.h>
#include <pathkernel/record/replay.h>
#include <pathkernel/train/schedule.h>
#include <pathkernel/train/trainer.h>

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <optional>

namespace pathkernel {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point begin) { return std::chrono::duration<double>(Clock::now() - begin).count(); }

/// Whether the manifest's seed gives these batches; other ones are written down.
bool follow_from_seed(const Manifest& m, uint64_t plan_hash) {
  if (!(m.epochs > 0) || m.batch < 1) return false;
  const double steps = std::round(m.epochs * static_cast<double>((m.examples - 1) / m.batch + 1));
  return steps == static_cast<double>(m.steps) && hash_of(shuffled_batches(m.examples, m.batch, m.epochs, m.seed)) == plan_hash;
}

void train(const Manifest& manifest, LoggedTraining& training, const std::vector<Tensor>& batches, RunOutcome& outcome, const Progress& progress,
           const StopRequest& stop) {
  const auto steps = static_cast<int64_t>(batches.size());
  for (int64_t s = outcome.first_step; s < steps; ++s) {
    if (progress) progress("training", s, steps);
    if (stop && stop()) {
      outcome.status = RunStatus::running;
      break;
    }
    if (!training.step(s, batches[static_cast<size_t>(s)], learning_rate(manifest.optimizer, s, steps), outcome)) break;
  }
  if (progress) progress("training", steps, steps);
}

void finish(Recorder& recorder, RunOutcome& outcome) {
  const auto begin = Clock::now();
  recorder.finish(outcome.status);
  outcome.recording_seconds += seconds_since(begin);
}

}  // namespace

RunOutcome record_run(const std::string& folder, Manifest manifest, const Learner& learner, const Dataset& data,
                      const std::vector<Tensor>& batches, const Progress& progress, const StopRequest& stop) {
  if (batches.empty()) throw InvalidInput("record_run: there are no batches to train on; give more epochs or examples");
  complete(manifest, learner, data);
  manifest.steps = static_cast<int64_t>(batches.size());
  if (manifest.checkpoint_every <= 0) manifest.checkpoint_every = checkpoint_spacing(manifest.steps, 0, 0);
  learning_rate(manifest.optimizer, 0, manifest.steps);  // a schedule that does not fit the run is refused before the folder is made
  Trainer trainer(manifest, learner);
  const uint64_t plan_hash = hash_of(batches);
  Recorder recorder(folder, manifest, state_of(learner.model, trainer, 0), follow_from_seed(manifest, plan_hash) ? Tensors{} : batches, plan_hash);
  RunOutcome outcome;
  outcome.planned = manifest.steps;
  LoggedTraining training(manifest, learner.model, data, trainer, recorder);
  train(manifest, training, batches, outcome, progress, stop);
  finish(recorder, outcome);
  return outcome;
}

RunOutcome resume_run(const std::string& folder, const Learner& learner, const Dataset& data, const Progress& progress, const StopRequest& stop) {
  FolderLock lock(folder, "recording");  // first: from here on nobody else writes
  RunOutcome outcome;
  std::optional<Recorder> recorder;
  {
    const Recording recording = Recording::open(folder);
    outcome.status = recording.status();
    outcome.planned = recording.manifest().steps;
    outcome.first_step = outcome.steps = recording.steps();
    if (outcome.steps > 0) outcome.last_loss = recording.step(outcome.steps - 1).loss;
    if (outcome.status == RunStatus::complete) return outcome;
    if (outcome.status == RunStatus::diverged)
      throw InvalidInput(fmt::format("{}: diverged at step {} of {}, there is nothing to go on with; train again with a smaller learning rate", folder, outcome.steps,
                                     outcome.planned));
    const std::vector<Tensor> batches = recording.planned_batches();
    Replay replay(recording, learner, data);
    recorder.emplace(std::move(lock));
    if (catch_up(recording, replay, learner.model, *recorder, progress, stop)) {
      outcome.status = RunStatus::complete;
      LoggedTraining training(recording.manifest(), learner.model, data, replay.trainer(), *recorder);
      train(recording.manifest(), training, batches, outcome, progress, stop);
    }
  }  // a reader would keep the database from becoming one file
  finish(*recorder, outcome);
  return outcome;
}

}  // namespace pathkernel
