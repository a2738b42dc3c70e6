#pragma once

#include <pathkernel/data/dataset.h>
#include <pathkernel/kernel/tangent_kernel.h>
#include <pathkernel/record/recording.h>
#include <pathkernel/train/learner.h>

namespace pathkernel {

/// The tangent kernel of a recorded network at the beginning of step s (s = steps(): of the trained one): replayed from the checkpoint before.
/// @param learner  its model is of the recorded architecture, and has its own weights again afterwards   @param data  the training part
/// @param x, y  as tangent_kernel() takes them   @throws InvalidInput for a step that the run has not, and as tangent_kernel() and Replay do
Tensor tangent_kernel_at(const Recording& recording, const Learner& learner, const Dataset& data, int64_t s, const Tensors& x, const Tensors& y = {},
                         const TangentOptions& options = {});

struct PathKernelOptions {
  TangentOptions tangent = {.form = TangentForm::trace};
  int64_t every = 1;  ///< steps that share the tangent kernel at the first of them: cheaper, a coarser left sum
};

/// The path kernel ∫ Θ_t(x, y) dt of a recorded run (Domingos 2020; theory 1), as the left sum over its steps with the learning rates as times:
///     K(x, y) = Σ_s η_s Θ(x, y; w_s)
/// Symmetric and positive semi-definite, whatever the optimizer; what ties it to the predictions exactly is the ledger (sweep/ledger.h).
/// Cost: a replay, and a tangent kernel every `every` steps.   @throws InvalidInput as tangent_kernel_at(), for a run without steps, and where groups
/// of parameters have different learning rates
Tensor path_kernel(const Recording& recording, const Learner& learner, const Dataset& data, const Tensors& x, const Tensors& y = {}, const PathKernelOptions& options = {});

}  // namespace pathkernel
