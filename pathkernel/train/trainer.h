#pragma once

#include <pathkernel/train/objective.h>
#include <pathkernel/train/optimizer.h>
#include <pathkernel/train/regulariser.h>
#include <pathkernel/train/step.h>
#include <pathkernel/train/weight_average.h>

#include <memory>
#include <string>

namespace pathkernel {

/// What a step of training depends on besides its batch.
struct TrainingSettings {
  std::string objective = "cross-entropy";
  std::string reduction = "mean";  ///< mean | sum: of a batch's losses
  std::string regulariser = {};    ///< "l1:0.0001", "l2:0.001", as make_regulariser() takes it; empty: none
  OptimizerSettings optimizer;
  int64_t accumulate = 1;  ///< micro-batches per step
  double ema = 0;          ///< decay ρ of the weights' exponential moving average; 0: none is kept
};

/// Trains a network step by step. The same class trains and replays, so that both do the same operations in the same order.
class Trainer {
 public:
  /// @param model  must outlive the trainer; its parameters may be rebound between steps
  /// @throws InvalidInput for settings that the objective or the optimizer refuses
  Trainer(TrainingSettings settings, Model& model);

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
  std::unique_ptr<Optimizer> optimizer_;
  std::unique_ptr<Regulariser> regulariser_;
  std::unique_ptr<WeightAverage> average_;
};

}  // namespace pathkernel
