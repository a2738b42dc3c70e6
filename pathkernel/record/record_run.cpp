#include <pathkernel/core/error.h>
#include <pathkernel/core/hash.h>
#include <pathkernel/core/random.h>
#include <pathkernel/data/batch_order.h>
#include <pathkernel/model/dtype.h>
#include <pathkernel/record/format.h>
#include <pathkernel/record/record_run.h>
#include <pathkernel/record/replay.h>
#include <pathkernel/train/schedule.h>
#include <pathkernel/train/trainer.h>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/isfinite.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <optional>

namespace pathkernel {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point begin) { return std::chrono::duration<double>(Clock::now() - begin).count(); }

Checkpoint state_of(const Model& model, const Trainer& trainer, int64_t step) {
  return {step, model.parameters(), model.buffers(), trainer.optimizer().state(), trainer.average() ? trainer.average()->values() : NamedTensors{}};
}

/// A sum is not finite where one of its terms is not, and costs an eighth of looking at each; only a sum that is not finite (large
/// weights may overflow it) asks for more.
bool all_finite(const Tensor& w) { return std::isfinite(w.sum().item<double>()) || at::isfinite(w).all().item<bool>(); }

/// What is not finite after a step, for people; empty when all is.
std::string not_finite(double loss, const NamedTensors& parameters) {
  if (!std::isfinite(loss)) return fmt::format("the loss is {}", loss);
  const at::NoGradGuard no_grad;
  for (const auto& [name, w] : parameters)
    if (!all_finite(w)) return fmt::format("a weight of {} is not finite", name);
  return {};
}

void complete(Manifest& manifest, const Model& model, const Dataset& data, int64_t steps) {
  const NamedTensors parameters = model.parameters();
  if (parameters.empty()) throw InvalidInput("record_run: the model has no parameters to train");
  manifest.model = model.specification();
  manifest.dtype = dtype_name(parameters[0].tensor.scalar_type());
  manifest.environment = Environment::here();
  manifest.data_fingerprint = fingerprint(data);
  manifest.examples = data.size();
  manifest.steps = steps;
  if (manifest.checkpoint_every <= 0) manifest.checkpoint_every = checkpoint_spacing(steps, 0, 0);
}

/// Whether the manifest's seed gives these batches; other ones are written down.
bool follow_from_seed(const Manifest& m, uint64_t plan_hash) {
  if (!(m.epochs > 0) || m.batch < 1) return false;
  const double steps = std::round(m.epochs * static_cast<double>((m.examples - 1) / m.batch + 1));
  return steps == static_cast<double>(m.steps) && hash_of(shuffled_batches(m.examples, m.batch, m.epochs, m.seed)) == plan_hash;
}

/// What a step changes, and the log it goes into: one loop for a new run and for one that goes on.
struct Training {
  const Manifest& manifest;
  Model& model;
  const Dataset& data;
  Trainer& trainer;
  Recorder& recorder;
};

void train(const Training& t, const std::vector<Tensor>& batches, RunOutcome& outcome, const Progress& progress, const StopRequest& stop) {
  const auto steps = static_cast<int64_t>(batches.size());
  const at::ScalarType dtype = parse_dtype(t.manifest.dtype);
  for (int64_t s = outcome.first_step; s < steps; ++s) {
    if (progress) progress("training", s, steps);
    if (stop && stop()) {
      outcome.status = RunStatus::running;
      break;
    }
    auto begin = Clock::now();
    StepRecord record;
    record.step = s;
    record.indices = batches[static_cast<size_t>(s)];
    record.random_seed = stream_seed(t.manifest.seed, Stream::step, static_cast<uint64_t>(s));
    record.lr = learning_rate(t.manifest.optimizer, s, steps);
    const Batch batch = take(t.data, record.indices, dtype);
    record.loss = t.trainer.step(batch, record.lr, record.random_seed).loss;
    outcome.seconds += seconds_since(begin);

    begin = Clock::now();
    const NamedTensors parameters = t.model.parameters();
    outcome.trouble = not_finite(record.loss, parameters);
    if (!outcome.trouble.empty()) {
      outcome.status = RunStatus::diverged;
      break;
    }
    record.hash = format::state_hash(parameters, t.model.buffers());
    t.recorder.step(record);
    outcome.steps = s + 1;
    outcome.last_loss = record.loss;
    if (t.recorder.wants_checkpoint(s + 1) || s + 1 == steps) t.recorder.checkpoint(state_of(t.model, t.trainer, s + 1));
    outcome.recording_seconds += seconds_since(begin);
  }
  if (progress) progress("training", steps, steps);
}

void finish(Recorder& recorder, RunOutcome& outcome) {
  const auto begin = Clock::now();
  recorder.finish(outcome.status);
  outcome.recording_seconds += seconds_since(begin);
}

/// Brings the state from a checkpoint to the end of the log; false when it was asked to stop before. Checkpoints on the way that the
/// run was killed before are written now.
bool catch_up(const Recording& recording, Replay& replay, Model& model, Recorder& recorder, const Progress& progress, const StopRequest& stop) {
  const std::vector<int64_t> written = recording.checkpoint_steps();
  const int64_t steps = recording.steps();
  int64_t from = 0;
  for (const int64_t s : written)
    if (s < steps) from = s;
  replay.restore(from);
  while (replay.position() < steps) {
    if (progress) progress("repeating", replay.position() - from, steps - from);
    if (stop && stop()) return false;
    const Replay::Repeated repeated = replay.advance();
    if (!repeated.exact) {
      const std::string difference = Environment::here().difference(recording.manifest().environment);
      throw ReplayMismatch(fmt::format("{}: step {} of {}, repeated from the checkpoint before it, gave other weights than were recorded{}; resume it "
                                       "where it was begun, or train again", recording.folder(), repeated.record.step, recording.manifest().steps,
                                       difference.empty() ? "" : fmt::format(", in another environment ({})", difference)));
    }
    const int64_t s = replay.position();
    const bool wanted = recorder.wants_checkpoint(s) || s == recording.manifest().steps;
    if (wanted && !std::binary_search(written.begin(), written.end(), s)) recorder.checkpoint(state_of(model, replay.trainer(), s));
  }
  return true;
}

}  // namespace

RunOutcome record_run(const std::string& folder, Manifest manifest, Model& model, const Dataset& data,
                      const std::vector<Tensor>& batches, const Progress& progress, const StopRequest& stop) {
  if (batches.empty()) throw InvalidInput("record_run: there are no batches to train on; give more epochs or examples");
  complete(manifest, model, data, static_cast<int64_t>(batches.size()));
  learning_rate(manifest.optimizer, 0, manifest.steps);  // a schedule that does not fit the run is refused before the folder is made
  Trainer trainer(manifest, model);
  const uint64_t plan_hash = hash_of(batches);
  Recorder recorder(folder, manifest, state_of(model, trainer, 0), follow_from_seed(manifest, plan_hash) ? Tensors{} : batches, plan_hash);
  RunOutcome outcome;
  outcome.planned = manifest.steps;
  train({manifest, model, data, trainer, recorder}, batches, outcome, progress, stop);
  finish(recorder, outcome);
  return outcome;
}

RunOutcome resume_run(const std::string& folder, Model& model, const Dataset& data, const Progress& progress, const StopRequest& stop) {
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
      throw InvalidInput(fmt::format("{}: diverged at step {} of {}, there is nothing to go on with; train again with a smaller --lr", folder, outcome.steps,
                                     outcome.planned));
    const std::vector<Tensor> batches = recording.planned_batches();
    Replay replay(recording, model, data);
    recorder.emplace(std::move(lock));
    if (catch_up(recording, replay, model, *recorder, progress, stop)) {
      outcome.status = RunStatus::complete;
      train({recording.manifest(), model, data, replay.trainer(), *recorder}, batches, outcome, progress, stop);
    }
  }  // a reader would keep the database from becoming one file
  finish(*recorder, outcome);
  return outcome;
}

}  // namespace pathkernel
