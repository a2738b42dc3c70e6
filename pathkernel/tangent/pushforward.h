#pragma once

#include <pathkernel/model/model.h>
#include <pathkernel/tangent/statistics.h>
#include <pathkernel/tangent/tape.h>

#include <functional>

namespace pathkernel {

struct PushOptions {
  int64_t memory = int64_t(256) << 20;  ///< bytes for tangents; as many queries at a time as fit, at least one
  bool only_forward_mode = false;       ///< no pushes: every operation through ATen's forward mode alone, the twin that tests compare with
};

/// Forward mode over a tape of Side::forward: for tangents λ_q of the parameters
///     ẏ_q = (∂y/∂w) λ_q
/// of one value y that the pass made, for many queries q in one walk. Where y are the per-example losses this is ⟨∇_w ℓ_i, λ_q⟩ for
/// all i and q, whatever couples the examples (theory 2.5, and 4f way J). Derivatives are autograd's: what was detached does not move.
/// @param lambda  per parameter [Q, W], W its numbers; undefined: zero
/// @return [Q, sizes of y]
/// Cost: 4·B·T·W·Q operations for a layer of W weights that B examples enter at T places each.
/// @throws InvalidInput naming an operation that cannot be run forwards
Tensor pushforward(const Tape& tape, ValueId y, const Tensors& lambda, const PushOptions& options = {});

/// One training-mode forward pass up to the per-example losses, taped for pushforwards.
class LossTape {
 public:
  /// @param model     bound to the weights and buffers to use, in any dtype; buffers and generators are put back afterwards
  /// @param examples  every tensor of the batch that `losses` reads
  /// @param losses    runs the model in train mode (and sets generators, where that matters); [n]
  /// @param weights   losses -> b [n], where the batch's gradient is wanted too
  LossTape(Model& model, const Tensors& examples, const std::function<Tensor()>& losses, const std::function<Tensor(const Tensor&)>& weights = {});

  const Tensor& losses() const { return losses_; }
  /// ∇_w Σ_i b_i ℓ_i by autograd, flat, one per parameter; undefined where it took no part.
  const Tensors& gradient() const { return gradient_; }
  /// ⟨∇_w ℓ_i, λ_q⟩ [n, Q].  @param lambda  per parameter [Q, W]; undefined: zero
  Tensor products(const Tensors& lambda, const PushOptions& options = {}) const;
  /// What the pass did to running statistics, example by example.
  std::vector<StatisticsUpdate> statistics() const { return statistics_updates(tape_); }
  /// Of the numbers kept.
  int64_t bytes() const { return tape_.bytes(); }

 private:
  Tape tape_;
  ValueId id_ = no_value;
  Tensor losses_;
  Tensors gradient_;
};

}  // namespace pathkernel
