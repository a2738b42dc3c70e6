#pragma once

#include <pathkernel/data/dataset.h>
#include <pathkernel/model/model.h>

namespace pathkernel {

/// Watches one training step from inside: the tangent room hangs its tape here. Default: nothing. An accumulated step makes
/// several passes, one per micro-batch; before_forward, after_forward and after_backward are called for each.
class StepObserver {
 public:
  virtual ~StepObserver() = default;
  virtual void before_forward(Model&, const Batch& /*micro_batch*/) {}
  /// Outputs and per-example losses are on the graph; `backward` has not run.  @param weights  b_i [n], detached
  virtual void after_forward(const Tensors& /*outputs*/, const Tensor& /*losses*/, const Tensor& /*weights*/) {}
  virtual void after_backward() {}
  /// Gradients of the data's loss over all passes, one per parameter, before the optimizer uses them.
  virtual void after_passes(const Tensors& /*gradients*/) {}
};

struct StepResult {
  double loss = 0;  ///< Σ b_i loss_i before the update, and the regulariser's value
};

/// The micro-batches of an accumulated step: `count` parts of ⌈n/count⌉ examples (torch.chunk: the last may be shorter, and there
/// may be fewer). One part is the batch itself.
std::vector<Batch> micro_batches(const Batch& batch, int64_t count);

}  // namespace pathkernel
