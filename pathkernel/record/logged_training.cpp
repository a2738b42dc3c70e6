#include <pathkernel/record/logged_training.h>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/isfinite.h>
#include <fmt/format.h>
#include <pathkernel/core/error.h>
#include <pathkernel/core/random.h>
#include <pathkernel/model/dtype.h>
#include <pathkernel/record/format.h>

#include <chrono>
#include <cmath>

namespace pathkernel {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point begin) { return std::chrono::duration<double>(Clock::now() - begin).count(); }

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

}  // namespace

Checkpoint state_of(const Model& model, const Trainer& trainer, int64_t step) {
  return {step, model.parameters(), model.buffers(), trainer.optimizer().state(), trainer.average() ? trainer.average()->values() : NamedTensors{}};
}

void complete(Manifest& manifest, const Learner& learner, const Dataset& data) {
  const Model& model = learner.model;
  const NamedTensors parameters = model.parameters();
  if (parameters.empty()) throw InvalidInput("record: the model has no parameters to train");
  manifest.model = model.specification();
  manifest.dtype = dtype_name(parameters[0].tensor.scalar_type());
  manifest.environment = Environment::here();
  manifest.data_fingerprint = fingerprint(data);
  manifest.examples = data.size();
}

uint64_t LoggedTraining::seed_of(int64_t s) const { return stream_seed(manifest_.seed, Stream::step, static_cast<uint64_t>(s)); }

bool LoggedTraining::step(int64_t s, const Tensor& indices, double lr, RunOutcome& outcome) {
  const auto begin = Clock::now();
  StepRecord record;
  record.step = s;
  record.indices = indices;
  record.random_seed = seed_of(s);
  record.lr = lr;
  record.groups = trainer_.optimizer().groups();
  const Batch batch = take(data_, indices, parse_dtype(manifest_.dtype), record.random_seed);
  record.loss = trainer_.step(batch, record.lr, record.random_seed).loss;
  outcome.seconds += seconds_since(begin);
  return log(std::move(record), outcome);
}

bool LoggedTraining::log(StepRecord record, RunOutcome& outcome) {
  const auto begin = Clock::now();
  const NamedTensors parameters = model_.parameters();
  outcome.trouble = not_finite(record.loss, parameters);
  if (!outcome.trouble.empty()) {
    outcome.status = RunStatus::diverged;
    return false;
  }
  record.hash = last_hash_ = format::state_hash(parameters, model_.buffers());
  if (record.groups == groups_) record.groups.clear();
  else groups_ = record.groups;
  recorder_.step(record);
  const int64_t next = record.step + 1;
  outcome.steps = next;
  outcome.last_loss = record.loss;
  if (recorder_.wants_checkpoint(next) || next == manifest_.steps) checkpoint(next);
  outcome.recording_seconds += seconds_since(begin);
  return true;
}

void LoggedTraining::checkpoint(int64_t s) { recorder_.checkpoint(state_of(model_, trainer_, s)); }

}  // namespace pathkernel
