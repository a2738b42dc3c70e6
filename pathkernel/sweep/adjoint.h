#pragma once

#include <pathkernel/core/tensors.h>
#include <pathkernel/sweep/memory_adjoint.h>
#include <pathkernel/sweep/pull.h>
#include <pathkernel/sweep/statistics_adjoint.h>
#include <pathkernel/sweep/trace.h>
#include <pathkernel/tangent/contraction.h>

#include <optional>
#include <vector>

namespace pathkernel {

/// Where decay goes (theory 2.4).
enum class Convention {
  propagate,  ///< B: decay is linear memory, like momentum; what is left at the end pulls on the initial weights
  ledger,     ///< A: decay is a term of its own, booked where it happens
};

/// What one step of the recursion books for a lane of n queries.
struct StepAccount {
  Tensor draws;         ///< [D, n]: b_i κ ⟨M∘λ, g_i⟩, the examples of all passes one after another
  Tensor by_parameter;  ///< [L, n]: the same summed over the examples, parameter by parameter
  Tensor statistics;    ///< [D, n]: the examples' shares of `buffers`, where they were asked for; else undefined
  Tensor kernel;        ///< [D, n]: b_i ⟨λ, J_i⟩, where output gradients were caught; else undefined
  Tensor decay, regulariser, rounding, buffers;  ///< [n]
};

/// What is left of the recursion when it has come to the window's first step a (theory 2.2, "At the end"). [n] each
struct Leftover {
  Tensor decay;      ///< what decay leaves pulling on the weights at a: (q + e)·w_a
  Tensor in_flight;  ///< pushes made before a that were still under way: p·m_{a−1}, and e·(w̄_a − w_a) of the average
  Tensor statistics; ///< of the buffers' term, what is left of the running statistics at a; undefined where the shares were not asked for
};

/// The adjoint recursion of theory 2.2 for n queries, backwards over the steps: per parameter of W numbers it keeps
///     p [n, W], adjoint of the optimizer's memory m (only with memory),
///     q [n, W], adjoint of the weights through decay (only with decay, convention B) or through their average, and
///     e [n, W], adjoint of the average of the weights (theory 2.5, only where the averaged network is asked about).
/// For plain SGD none exists, λ = −E∘G stays factored, and nothing dense of size n·W is ever made.
/// Cost per step: theory 4f. Memory: n·P·(memory + decay + 2 for the average) numbers, and the pushes that are kept factored.
class Adjoint {
 public:
  /// @param batch    examples of an ordinary step, for the cost model
  /// @param coupled  answers for passes whose examples are coupled; may be nullptr where there are none
  Adjoint(int64_t queries, int64_t batch, Convention convention, at::TensorOptions options, CoupledPasses* coupled = nullptr)
      : n_(queries), batch_(batch), convention_(convention), options_(options), coupled_(coupled) {}
  /// Also the examples' shares of the buffers' term.
  void share_statistics() { statistics_.emplace(n_); }

  /// Step s, given G_s of these queries.  @param buffer_change  Δβ_s, one flat tensor per buffer
  StepAccount step(const StepTrace& trace, const FactorSet& G, const Tensors& buffer_change);

  /// After a stretch (before its last step is swept): what the pending adjoint makes of the memory's rounding over it. [n]
  Tensor memory_jump(const Tensors& jump) const;

  /// After the window's first step.  @param memory  m before it (empty: none)
  Leftover leftover(const StepTrace& first, const Tensors& memory) const;

  /// p, q, e and what goes with them; the names begin with `prefix`.
  void put_into(SweepState& state, const std::string& prefix) const;
  /// @param weights  of the model, for their sizes   @param buffers  how many it has
  void take_from(const SweepState& state, const std::string& prefix, const Tensors& weights, size_t buffers);

  /// Numbers kept per query for these linear forms, at most: a matrix's pushes may be kept factored beside its dense part, or be all
  /// that is kept (MemoryAdjoint::Plan); then the larger of the two counts, because a rule of several nodes writes them out.
  /// @param batch    examples of an ordinary step
  /// @param coupled  passes are: λ of all parameters at once, written out
  static int64_t numbers_per_query(const std::vector<LinearForm>& form, const Tensors& weights, int64_t batch, Convention convention, bool average, bool coupled, at::ScalarType precision);

 private:
  void step_parameter(const StepTrace& trace, size_t l, const FactorList& G, StepAccount& account);
  void take_average(const StepTrace& trace, size_t l, const FactorList& G, StepAccount& account);
  bool take_together(const StepTrace& trace, size_t l, const FactorList& G, StepAccount& account);
  MemoryAdjoint& memory(size_t l, int64_t numbers);
  void take_memory(const LinearForm& form, size_t l, const Pull& y, int64_t numbers);
  Tensor lambda(const LinearForm& form, size_t l, const Pull& y, int64_t numbers);
  Tensor product(const LinearForm& form, size_t l, const Pull& y, const Tensor& lambda, const FactorList& rows, int64_t count) const;
  void book(const StepTrace& trace, size_t l, const Pull& y, const Tensor& lambda, StepAccount& account) const;
  void decay(const StepTrace& trace, size_t l, const FactorList& G, const Tensor& lambda, StepAccount& account);
  void book_coupled(const StepTrace& trace, StepAccount& account);
  void book_statistics(const StepTrace& trace, const FactorSet& G, StepAccount& account);
  Tensor& dense(std::vector<Tensor>& states, size_t l, int64_t numbers);

  int64_t n_, batch_;
  Convention convention_;
  at::TensorOptions options_;
  CoupledPasses* coupled_;
  Tensors lambda_;                 ///< of the step under way, κ M∘λ of every parameter, where a pass is coupled
  std::vector<MemoryAdjoint> p_;
  std::vector<Tensor> q_, e_;      ///< undefined: zero
  std::optional<StatisticsAdjoint> statistics_;
};

}  // namespace pathkernel
