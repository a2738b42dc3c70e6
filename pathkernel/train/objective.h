#pragma once

#include <pathkernel/core/tensors.h>

#include <memory>
#include <string>

namespace pathkernel {

/// Per-example losses of a batch. The training loss is sum_i b_i loss_i (theory 0; b_i is the reduction's weight).
class Objective {
 public:
  virtual ~Objective() = default;
  virtual std::string name() const = 0;
  /// @param outputs  the model's, first dimension n   @param targets [n, ...]   @return [n]
  virtual Tensor losses(const Tensors& outputs, const Tensor& targets) const = 0;
  /// b [n], detached: 1/(passes·n), so that the weights of a step's passes (micro-batches) sum to one.
  virtual Tensor weights(const Tensor& losses, int64_t passes = 1) const;
};

/// cross-entropy (logits [n, C], int64 labels [n]) | mse (½ is not included: mean over output coordinates of (f−y)²)
/// @throws InvalidInput for any other name.
std::unique_ptr<Objective> make_objective(const std::string& name);

}  // namespace pathkernel
