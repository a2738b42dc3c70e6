#pragma once

#include <pathkernel/core/tensors.h>
#include <pathkernel/sweep/trace.h>
#include <pathkernel/tangent/contraction.h>

#include <vector>

namespace pathkernel {

/// Where decay goes (theory 2.4).
enum class Convention {
  propagate,  ///< B: decay is linear memory, like momentum; what is left at the end pulls on the initial weights
  ledger,     ///< A: decay is a term of its own, booked where it happens
};

/// What one step of the recursion books for a lane of n queries.
struct StepAccount {
  std::vector<Tensor> draws;       ///< per parameter [B, n]: b_i κ ⟨M∘λ, g_i⟩ of its numbers; empty tensors where it had no gradient
  std::vector<Tensor> kernel;      ///< per parameter [B, n]: b_i ⟨λ, J_i⟩, where output gradients were caught
  Tensor decay;                    ///< [n]
  Tensor rounding;                 ///< [n]
  Tensor buffers;                  ///< [n]
};

/// The adjoint recursion of theory 2.2 for n queries, backwards over the steps: per parameter of W numbers it keeps
///     p [n, W], adjoint of the optimizer's memory m (only with memory), and
///     q [n, W], adjoint of the weights through decay (only with decay, convention B).
/// For plain SGD neither exists, λ = −E∘G stays factored, and nothing dense of size n·W is ever made.
/// Cost per step: theory 4f. Memory: n·P·(memory + decay) numbers.
class Adjoint {
 public:
  Adjoint(int64_t queries, Convention convention, at::TensorOptions options) : n_(queries), convention_(convention), options_(options) {}

  /// Step s, given G_s of these queries.  @param buffer_change  Δβ_s, one flat tensor per buffer
  StepAccount step(const StepTrace& trace, const FactorSet& G, const Tensors& buffer_change);

  /// The stored memory at a checkpoint differs from the replayed one: what the pending adjoint makes of it. [n]
  Tensor memory_jump(const Tensors& jump) const;

  /// After step 0: what decay leaves pulling on the initial weights, q·w_0 (convention B). [n]
  Tensor initial_pull(const Tensors& initial_weights) const;

  /// Numbers kept per query for these linear forms: P·(memory + decay).
  static int64_t numbers_per_query(const std::vector<LinearForm>& form, const Tensors& weights, Convention convention);

 private:
  void step_parameter(const StepTrace& trace, size_t l, const FactorList& G, StepAccount& account);
  Tensor& dense(std::vector<Tensor>& states, size_t l, int64_t numbers);

  int64_t n_;
  Convention convention_;
  at::TensorOptions options_;
  std::vector<Tensor> p_, q_;      ///< undefined: zero
  std::vector<double> carried_;    ///< p_ stands for carried_·p_: the factor μ_{s+1} is multiplied in at the next update
};

}  // namespace pathkernel
