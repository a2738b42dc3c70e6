#pragma once

#include <pathkernel/model/model.h>
#include <pathkernel/train/objective.h>
#include <pathkernel/train/optimizer.h>
#include <pathkernel/train/training_settings.h>

#include <functional>
#include <memory>

namespace pathkernel {

/// What learns: a network, with a loss and an optimizer of the program's own where it has them (a live Python callable, a
/// torch.optim.Optimizer). Where it has none they are made from the settings, so that a Model alone is a Learner.
struct Learner {
  Learner(Model& model) : model(model) {}

  Model& model;
  std::function<std::unique_ptr<Objective>(const TrainingSettings&)> objective;  ///< empty: make_objective()
  std::function<std::unique_ptr<Optimizer>(const TrainingSettings&)> optimizer;  ///< empty: make_optimizer(); for model.parameters()
};

}  // namespace pathkernel
