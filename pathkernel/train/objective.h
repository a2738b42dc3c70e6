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
  /// b [n], summing to one for the mean.
  virtual Tensor weights(const Tensor& losses) const;
};

/// cross-entropy (logits [n, C], int64 labels [n]) | mse (½ is not included: mean over output coordinates of (f−y)²)
/// @throws InvalidInput for any other name.
std::unique_ptr<Objective> make_objective(const std::string& name);

}  // namespace pathkernel
