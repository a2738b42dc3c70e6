#include <pathkernel/record/live_run.h>

#include <fmt/format.h>
#include <pathkernel/core/error.h>
#include <pathkernel/model/dtype.h>
#include <pathkernel/record/catch_up.h>
#include <pathkernel/record/format.h>
#include <pathkernel/record/logged_training.h>

#include <optional>

namespace pathkernel {

struct LiveRun::Impl {
  Manifest manifest;
  Model& model;
  const Dataset& data;
  std::unique_ptr<Recording> recording;  ///< where it goes on with one, until it is repeated
  std::unique_ptr<Replay> replay;        ///< then it holds the trainer
  std::unique_ptr<Trainer> own;
  std::unique_ptr<Recorder> recorder;
  std::optional<LoggedTraining> training;
  RunOutcome outcome;
  std::string groups;                    ///< of the step that the caller is making
  std::vector<uint32_t> versions;        ///< of weights and buffers after the last step
  uint64_t last_hash = 0;
  bool over = false;

  Impl(Manifest m, Model& model, const Dataset& data) : manifest(std::move(m)), model(model), data(data) {}
  Trainer& trainer() { return replay ? replay->trainer() : *own; }
  void begin_training() {
    training.emplace(manifest, model, data, trainer(), *recorder);
    remember();
  }

  void check_open() const {
    if (over) throw InvalidInput(fmt::format("run: it is over after {} steps; record another, or open this one to explain it", outcome.steps));
  }

  /// What the log's last line is about. A tensor's version counts what is written into it, but for what goes around it (.data, numpy).
  void remember() {
    versions.clear();
    for (const NamedTensor& t : state()) versions.push_back(t.tensor._version());
    last_hash = training->last_hash() != 0 ? training->last_hash() : format::state_hash(model.parameters(), model.buffers());
  }

  /// @throws InvalidInput where somebody wrote into weights or buffers since the last step
  void check_untouched() const {
    if (format::state_hash(model.parameters(), model.buffers()) == last_hash) return;
    std::string which = "a weight or buffer";
    const NamedTensors now = state();
    for (size_t k = now.size(); k-- > 0;)
      if (now[k].tensor._version() != versions.at(k)) which = fmt::format("'{}'", now[k].name);
    throw InvalidInput(fmt::format("run: {} was changed since {}, not by a step of this run, so that the run could not be repeated; leave the model's weights and "
                                   "buffers alone between steps (evaluate in eval mode), or record anew from the changed weights",
                                   which, outcome.steps == 0 ? "the recording began" : fmt::format("step {}", outcome.steps - 1)));
  }

  NamedTensors state() const {
    NamedTensors all = model.parameters();
    for (const NamedTensor& b : model.buffers()) all.push_back(b);
    return all;
  }

  void end_if_diverged(bool finite) {
    if (finite) return remember();
    over = true;
    recorder->finish(RunStatus::diverged);
    throw Diverged(fmt::format("run: {} at step {}; the recording keeps the steps before it. Train again with a smaller learning rate", outcome.trouble, outcome.steps));
  }
};

LiveRun::LiveRun(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
LiveRun::~LiveRun() = default;

LiveRun::LiveRun(const std::string& folder, Manifest manifest, const Learner& learner, const Dataset& data) {
  complete(manifest, learner, data);
  manifest.steps = 0;
  impl_ = std::make_unique<Impl>(std::move(manifest), learner.model, data);
  impl_->own = std::make_unique<Trainer>(impl_->manifest, learner);
  impl_->recorder = std::make_unique<Recorder>(folder, impl_->manifest, state_of(learner.model, *impl_->own, 0), Tensors{}, 0);
  impl_->begin_training();
}

std::unique_ptr<LiveRun> LiveRun::resume(const std::string& folder, const Learner& learner, const Dataset& data, const Progress& progress) {
  FolderLock lock(folder, "recording");
  auto recording = std::make_unique<Recording>(Recording::open(folder));
  if (recording->status() != RunStatus::running)
    throw InvalidInput(fmt::format("{}: is {} after {} steps, there is nothing to go on with; open it to explain it", folder,
                                   recording->status() == RunStatus::complete ? "complete" : "diverged", recording->steps()));
  if (recording->manifest().steps != 0)
    throw InvalidInput(fmt::format("{}: all steps of this run were planned when it began; go on with `pathkernel resume {}`", folder, folder));
  auto impl = std::make_unique<Impl>(recording->manifest(), learner.model, data);
  impl->recording = std::move(recording);
  impl->outcome.first_step = impl->outcome.steps = impl->recording->steps();
  impl->replay = std::make_unique<Replay>(*impl->recording, learner, data);
  impl->recorder = std::make_unique<Recorder>(std::move(lock));
  catch_up(*impl->recording, *impl->replay, learner.model, *impl->recorder, progress, {});
  impl->begin_training();
  return std::unique_ptr<LiveRun>(new LiveRun(std::move(impl)));
}

const RunOutcome& LiveRun::outcome() const { return impl_->outcome; }

const WeightAverage* LiveRun::average() const { return impl_->trainer().average(); }

double LiveRun::step(const Tensor& indices, double lr) {
  impl_->check_open();
  impl_->check_untouched();
  impl_->end_if_diverged(impl_->training->step(steps(), indices, lr, impl_->outcome));
  return impl_->outcome.last_loss;
}

void LiveRun::begin() {
  impl_->check_open();
  impl_->check_untouched();
  impl_->groups = impl_->trainer().optimizer().groups();
  seed_generators(values(impl_->model.parameters()), impl_->training->seed_of(steps()));
}

void LiveRun::end(const Tensor& indices, double lr, double loss) {
  impl_->check_open();
  if (WeightAverage* average = impl_->trainer().average()) average->update(values(impl_->model.parameters()));
  const uint64_t seed = impl_->training->seed_of(steps());
  impl_->end_if_diverged(impl_->training->log({steps(), indices, seed, lr, loss, 0, impl_->groups}, impl_->outcome));
}

void LiveRun::rehearse(const Tensor& indices, double lr) {
  const uint64_t seed = impl_->training->seed_of(steps());
  WeightAverage* average = impl_->trainer().average();
  NamedTensors kept;
  if (average != nullptr)
    for (const auto& [name, tensor] : average->values()) kept.push_back({name, tensor.clone()});
  impl_->trainer().step(take(impl_->data, indices, parse_dtype(impl_->manifest.dtype), seed), lr, seed);
  if (average != nullptr) average->restore(kept, steps());
}

void LiveRun::finish(RunStatus status) {
  if (impl_->over) return;
  impl_->over = true;
  if (status == RunStatus::complete && steps() > 0) impl_->training->checkpoint(steps());
  impl_->recording.reset();  // a reader would keep the database from becoming one file
  impl_->recorder->finish(status);
  impl_->recorder.reset();
}

}  // namespace pathkernel
