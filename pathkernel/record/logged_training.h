#pragma once

#include <pathkernel/record/record_run.h>
#include <pathkernel/train/trainer.h>

namespace pathkernel {

/// Training with its log: what every recorded run does at each of its steps. All that is given must outlive it.
class LoggedTraining {
 public:
  LoggedTraining(const Manifest& manifest, Model& model, const Dataset& data, Trainer& trainer, Recorder& recorder)
      : manifest_(manifest), model_(model), data_(data), trainer_(trainer), recorder_(recorder) {}

  /// The numbers that step s draws come from this seed.
  uint64_t seed_of(int64_t s) const;
  /// Makes step s and logs it. @return false where it left the finite numbers: then nothing is logged, and `outcome` says what and why
  bool step(int64_t s, const Tensor& indices, double lr, RunOutcome& outcome);
  /// Logs step s, which somebody else made.  @param record  without its hash
  bool log(StepRecord record, RunOutcome& outcome);
  /// Of weights and buffers after the last step that it logged; 0: none yet.
  uint64_t last_hash() const { return last_hash_; }
  /// The state now is that before step s.
  void checkpoint(int64_t s);

 private:
  const Manifest& manifest_;
  Model& model_;
  const Dataset& data_;
  Trainer& trainer_;
  Recorder& recorder_;
  uint64_t last_hash_ = 0;
  std::string groups_;  ///< of the optimizer, as the log has them
};

/// Fills in what a manifest says of this model, data and process. @throws InvalidInput for a model without parameters
void complete(Manifest& manifest, const Learner& learner, const Dataset& data);

/// Parameters, buffers, optimizer and average, live.
Checkpoint state_of(const Model& model, const Trainer& trainer, int64_t step);

}  // namespace pathkernel
