#pragma once

#include <pathkernel/core/tensors.h>

#include <cstdint>
#include <vector>

namespace pathkernel {

/// Examples that are left out of training: wherever one is drawn, its loss has weight b_i = 0. It stays in its batch, so that everything
/// else of the step is as before: the order, the random numbers, the denominators of the others' weights. Statistics that a network
/// takes over the batch (batch norm in training mode) still see it.
class Dropped {
 public:
  /// @param examples  ascending   @param renormalise  see factor()
  Dropped(const std::vector<int64_t>& examples, bool renormalise) : examples_(examples), renormalise_(renormalise) {}

  /// 1 for examples that stay, 0 for dropped ones; undefined where all stay.  @param indices  [n] int64   @return [n] in `options`
  Tensor kept(const Tensor& indices, const at::TensorOptions& options) const;
  /// What the others' weights of a step are multiplied by: with `renormalise` Σ_i b_i / Σ_{i kept} b_i, so that they sum to what they did;
  /// 1 where nothing was dropped, or nothing is left.
  /// @param passes  indices of the step's micro-batches; b_i is the mean's, 1/(passes · examples of the pass)
  double factor(const std::vector<Tensor>& passes) const;

 private:
  int64_t count_kept(const Tensor& indices) const;
  bool contains(int64_t example) const;

  std::vector<int64_t> examples_;
  bool renormalise_;
};

}  // namespace pathkernel
