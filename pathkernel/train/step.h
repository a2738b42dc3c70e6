#pragma once

#include <pathkernel/data/dataset.h>
#include <pathkernel/model/model.h>
#include <pathkernel/train/objective.h>
#include <pathkernel/train/optimizer.h>

namespace pathkernel {

/// Watches one training step from inside: the tangent room hangs its tape here. Default: nothing.
class StepObserver {
 public:
  virtual ~StepObserver() = default;
  virtual void before_forward(Model&, const Batch&) {}
  /// Outputs and per-example losses are on the graph; `backward` has not run.
  virtual void after_forward(const Tensors& /*outputs*/, const Tensor& /*losses*/) {}
  /// Gradients of the batch loss, one per parameter, before the optimizer uses them.
  virtual void after_backward(const Tensors& /*gradients*/) {}
};

struct StepResult {
  double loss = 0;  ///< Σ b_i loss_i before the update
};

/// One step of training: seeds the default generator with `random_seed`, forward in train mode, losses, backward, update in
/// place. The same function trains and replays, so that both do the same operations.
StepResult training_step(Model& model, const Objective& objective, Optimizer& optimizer, const Batch& batch, double lr,
                         uint64_t random_seed, StepObserver* observer = nullptr);

}  // namespace pathkernel
