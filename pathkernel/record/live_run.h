#pragma once

#include <pathkernel/record/record_run.h>

#include <cstdint>
#include <memory>
#include <string>

namespace pathkernel {

/// A recorded run whose steps its caller chooses one after another, as a training loop of its own does (Python's run.step()). What
/// record_run() promises of killed runs holds here too. Learner, model and data must outlive it.
class LiveRun {
 public:
  /// A new run. manifest.steps is 0 until it is finished; checkpoint_every may be 0 (see Recorder::wants_checkpoint).
  /// @throws InvalidInput as record_run()
  LiveRun(const std::string& folder, Manifest manifest, const Learner& learner, const Dataset& data);
  /// Goes on with one that was interrupted, as resume_run() does: the state is that after the last step in the log.
  /// @throws as resume_run(), and InvalidInput where the run is complete
  static std::unique_ptr<LiveRun> resume(const std::string& folder, const Learner& learner, const Dataset& data, const Progress& progress = {});
  ~LiveRun();

  int64_t steps() const { return outcome().steps; }
  const RunOutcome& outcome() const;

  /// Makes and logs the next step on these examples, int64 [n].  @return its loss
  /// @throws Diverged where it leaves the finite numbers: the log then ends before it, and the run is over.
  double step(const Tensor& indices, double lr);

  /// The average of the weights that the run keeps; nullptr: none.
  const WeightAverage* average() const;

  /// For a step that the caller makes itself: begin() seeds the random numbers as step() would, end() logs what came of it.
  void begin();
  void end(const Tensor& indices, double lr, double loss);
  /// The next step as step() would make it, without a word in the log: the caller puts weights, buffers and optimizer back.
  void rehearse(const Tensor& indices, double lr);

  /// Ends the recording: complete, with a checkpoint of the last state, or `running`: to be resumed. Nothing may follow.
  void finish(RunStatus status);

 private:
  struct Impl;
  explicit LiveRun(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace pathkernel
