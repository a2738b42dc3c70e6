#include <pathkernel/core/error.h>
#include <pathkernel/core/random.h>
#include <pathkernel/model/dtype.h>
#include <pathkernel/record/format.h>
#include <pathkernel/record/record_run.h>
#include <pathkernel/train/schedule.h>
#include <pathkernel/train/trainer.h>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/isfinite.h>
#include <fmt/format.h>

#include <chrono>
#include <cmath>

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

}  // namespace

RunOutcome record_run(const std::string& folder, Manifest manifest, Model& model, const Dataset& data,
                      const std::vector<Tensor>& batches, const Progress& progress) {
  const auto steps = static_cast<int64_t>(batches.size());
  if (steps == 0) throw InvalidInput("record_run: there are no batches to train on; give more epochs or examples");
  complete(manifest, model, data, steps);
  const at::ScalarType dtype = parse_dtype(manifest.dtype);
  learning_rate(manifest.optimizer, 0, steps);  // a schedule that does not fit the run is refused before the folder is made
  Trainer trainer(manifest, model);

  RunOutcome outcome;
  Recorder recorder(folder, manifest);
  recorder.begin(state_of(model, trainer, 0));
  for (int64_t s = 0; s < steps; ++s) {
    if (progress) progress("training", s, steps);
    auto begin = Clock::now();
    StepRecord record;
    record.step = s;
    record.indices = batches[s];
    record.random_seed = stream_seed(manifest.seed, Stream::step, static_cast<uint64_t>(s));
    record.lr = learning_rate(manifest.optimizer, s, steps);
    const Batch batch = take(data, batches[s], dtype);
    record.loss = trainer.step(batch, record.lr, record.random_seed).loss;
    outcome.seconds += seconds_since(begin);

    begin = Clock::now();
    const NamedTensors parameters = model.parameters();
    outcome.trouble = not_finite(record.loss, parameters);
    if (!outcome.trouble.empty()) {
      outcome.status = RunStatus::diverged;
      break;
    }
    record.hash = format::state_hash(parameters, model.buffers());
    recorder.step(record);
    outcome.steps = s + 1;
    outcome.last_loss = record.loss;
    if (recorder.wants_checkpoint(s + 1) || s + 1 == steps) recorder.checkpoint(state_of(model, trainer, s + 1));
    outcome.recording_seconds += seconds_since(begin);
  }
  const auto begin = Clock::now();
  recorder.finish(outcome.status);
  outcome.recording_seconds += seconds_since(begin);
  if (progress) progress("training", steps, steps);
  return outcome;
}

}  // namespace pathkernel
