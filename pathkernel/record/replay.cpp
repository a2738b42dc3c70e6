#include <pathkernel/core/error.h>
#include <pathkernel/core/hash.h>
#include <pathkernel/model/own_weights.h>
#include <pathkernel/record/format.h>
#include <pathkernel/record/replay.h>

#include <fmt/format.h>

namespace pathkernel {
namespace {

/// A copy of its own, where the live tensor lives: the file's bytes are not written to, and every run begins at a fresh
/// allocation, as training did.
Tensors on_device_of(const NamedTensors& live, const NamedTensors& stored) {
  Tensors copies;
  for (size_t i = 0; i < stored.size(); ++i)
    copies.push_back(stored[i].tensor.to(stored[i].tensor.options().device(live[i].tensor.device()), false, /*copy=*/true));
  return copies;
}

/// Whether it says how to build the network: one of a live module only names its class.
bool is_recipe(const std::string& specification) { return !specification.empty() && !specification.starts_with("python:"); }

void check_same(const char* what, const NamedTensors& live, const NamedTensors& stored) {
  for (size_t i = 0; i < std::min(live.size(), stored.size()); ++i)
    if (live[i].name != stored[i].name || live[i].tensor.sizes() != stored[i].tensor.sizes())
      throw InvalidInput(fmt::format("replay: {} {} of the model is {} {}, but the recording has {} {}", what, i, live[i].name,
                                     describe(live[i].tensor), stored[i].name, describe(stored[i].tensor)));
  if (live.size() != stored.size())
    throw InvalidInput(fmt::format("replay: the model has {} {}s, but the recording has {}", live.size(), what, stored.size()));
}

void check_data(const Manifest& manifest, const Dataset& data) {
  if (data.size() != manifest.examples)
    throw InvalidInput(fmt::format("replay: the training data ({}) have {} examples, but {} were recorded; load what was trained on: {} (if it has moved, say where it is now)",
                                   data.name, data.size(), manifest.examples, manifest.data.location));
  if (fingerprint(data) != manifest.data_fingerprint)
    throw InvalidInput(fmt::format("replay: the training data ({}) are not the recorded ones (fingerprint {} instead of {}); load "
                                   "what was trained on: {} (if it has moved, say where it is now)",
                                   data.name, hex(fingerprint(data)), hex(manifest.data_fingerprint), manifest.data.location));
}

}  // namespace

struct Replay::Impl {
  const Recording& recording;
  Model& model;
  const Dataset& data;
  Trainer trainer;
  at::ScalarType dtype = at::kFloat;
  int64_t position = 0;

  Impl(const Recording& recording, const Learner& learner, const Dataset& data)
      : recording(recording), model(learner.model), data(data), trainer(recording.manifest(), learner) {
    const Manifest& manifest = recording.manifest();
    if (is_recipe(model.specification()) && is_recipe(manifest.model) && model.specification() != manifest.model)
      throw InvalidInput(fmt::format("replay: the model is \"{}\", but \"{}\" was recorded", model.specification(), manifest.model));
    check_data(manifest, data);
    restore(0);
  }

  void restore(int64_t s) {
    const Checkpoint checkpoint = recording.checkpoint(s);
    check_same("parameter", model.parameters(), checkpoint.parameters);
    check_same("buffer", model.buffers(), checkpoint.buffers);
    model.bind_parameters(on_device_of(model.parameters(), checkpoint.parameters));
    model.bind_buffers(on_device_of(model.buffers(), checkpoint.buffers));
    trainer.optimizer().restore(checkpoint.optimizer);
    if (trainer.average()) trainer.average()->restore(checkpoint.average, s);
    dtype = checkpoint.parameters.at(0).tensor.scalar_type();
    position = s;
  }

  Batch batch_of(const StepRecord& record) const {
    if (record.indices.min().item<int64_t>() < 0 || record.indices.max().item<int64_t>() >= data.size())
      throw CorruptData(fmt::format("{}: step {} draws an example outside 0..{}; restore the log from a copy, or train again",
                                    recording.folder(), record.step, data.size() - 1));
    return take(data, record.indices, dtype, record.random_seed);
  }

  Repeated advance(StepObserver* observer) {
    Repeated repeated{recording.step(position), {}, false};
    const StepRecord& record = repeated.record;
    repeated.batch = batch_of(record);
    if (!record.groups.empty()) trainer.optimizer().use_groups(record.groups);
    trainer.step(repeated.batch, record.lr, record.random_seed, observer);
    repeated.exact = format::state_hash(model.parameters(), model.buffers()) == record.hash;
    ++position;
    return repeated;
  }
};

Replay::Replay(const Recording& recording, const Learner& learner, const Dataset& data)
    : impl_(std::make_shared<Impl>(recording, learner, data)) {}

void Replay::restore(int64_t s) { impl_->restore(s); }
int64_t Replay::position() const { return impl_->position; }
Replay::Repeated Replay::advance(StepObserver* observer) { return impl_->advance(observer); }
Trainer& Replay::trainer() { return impl_->trainer; }
const Trainer& Replay::trainer() const { return impl_->trainer; }

Verification verify(const Recording& recording, const Learner& learner, const Dataset& data, const Progress& progress) {
  const OwnWeights own(learner.model);
  Verification result;
  result.environment_difference = Environment::here().difference(recording.manifest().environment);
  for (const int64_t s : recording.checkpoint_steps()) recording.checkpoint(s);

  Replay replay(recording, learner, data);
  while (replay.position() < recording.steps()) {
    const int64_t s = replay.position();
    if (progress) progress("replaying", s, recording.steps());
    const bool exact = replay.advance().exact;
    result.steps = s + 1;
    if (!exact) {
      result.first_difference = s;
      break;
    }
  }
  if (progress) progress("replaying", result.steps, recording.steps());
  return result;
}

}  // namespace pathkernel
