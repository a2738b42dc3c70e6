#pragma once

#include <pathkernel/model/model.h>
#include <pathkernel/tangent/capture.h>
#include <pathkernel/tangent/factors.h>

#include <memory>

namespace pathkernel {

/// Catches the per-example gradients of an ordinary training step in its own backward pass: no second pass, same bits.
///     Catcher catcher(parameters, n inputs…);     // from here on operations are watched
///     … forward, losses …
///     catcher.forward_done();
///     … backward …
///     FactorSet g = catcher.take();
/// Coupled batches have no such gradients: the forward pass, or check_owners, throws CoupledBatch.
/// The gradients hold the reduction's weight: they are b_i g_{i,s} when the loss was Σ b_i ℓ_i.
class Catcher {
 public:
  Catcher(const NamedTensors& parameters, const NamedTensors& buffers, const Tensors& examples);
  ~Catcher();

  void forward_done();
  /// Part of the forward pass was computed in half precision (autocast): gradients are caught in float32, as exact as their cotangents are.
  bool in_half() const;
  /// The backward pass of one number for take() alone, in place of number.backward(): only the cotangents that are caught are computed, no
  /// parameter's gradient (a third of a backward pass), and no .grad is written.
  void backward(const Tensor& number, bool retain_graph = false);
  /// backward() and take() of Σ_i numbers_ik for every k, of numbers [n, K]: the graph is walked once for as many of them, at most sixteen, as have their
  /// cotangents fit the cache side by side (torch.func's vmap); where an operation's backward pass cannot be batched, once for each. The graph stays.
  std::vector<FactorSet> backward_each(const Tensor& numbers);
  /// The gradients caught since the last call (a second backward pass over a retained graph gives a second set).
  FactorSet take();

  /// Checks who owns which row: from two backward passes over the same graph, the second with example i's loss weighted i+1
  /// times as much, the gradients must be i+1 times the first's. Finds coupled batches too.
  /// @throws CoupledBatch naming the parameter.
  static void check_owners(const FactorSet& first, const FactorSet& weighted, const NamedTensors& parameters, bool in_half = false);

 private:
  bool side_by_side(const Tensor& numbers, std::vector<FactorSet>& sets);

  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace pathkernel
