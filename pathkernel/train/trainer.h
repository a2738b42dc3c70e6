#pragma once

#include <pathkernel/train/dropped.h>
#include <pathkernel/train/learner.h>
#include <pathkernel/train/regulariser.h>
#include <pathkernel/train/step.h>
#include <pathkernel/train/training_settings.h>
#include <pathkernel/train/weight_average.h>

#include <memory>
#include <string>
#include <vector>

namespace pathkernel {

/// Random operations draw the same numbers whenever a step is repeated: seeds torch's generators, of the CPU and of the parameters' device.
void seed_generators(const Tensors& parameters, uint64_t seed);

/// Trains a network step by step. The same class trains and replays, so that both do the same operations in the same order.
class Trainer {
 public:
  /// @param learner  its model must outlive the trainer; its parameters may be rebound between steps
  /// @throws InvalidInput for settings that the objective or the optimizer refuses
  Trainer(TrainingSettings settings, const Learner& learner);

  /// One step: seeds the default generator with `random_seed`; for each micro-batch forward in train mode, losses, backward; then the
  /// update in place, and the average of the weights.
  StepResult step(const Batch& batch, double lr, uint64_t random_seed, StepObserver* observer = nullptr);

  const Objective& objective() const { return *objective_; }
  Optimizer& optimizer() { return *optimizer_; }
  const Optimizer& optimizer() const { return *optimizer_; }
  /// nullptr where the loss has no such term.
  const Regulariser* regulariser() const { return regulariser_.get(); }
  /// nullptr where no average is kept.
  WeightAverage* average() { return average_.get(); }
  const WeightAverage* average() const { return average_.get(); }

 private:
  double passes(const Batch& batch, StepObserver* observer);

  TrainingSettings settings_;
  Model& model_;
  std::unique_ptr<Objective> objective_;
  Dropped dropped_;
  std::unique_ptr<Optimizer> optimizer_;
  std::unique_ptr<Regulariser> regulariser_;
  std::unique_ptr<WeightAverage> average_;
};

}  // namespace pathkernel
