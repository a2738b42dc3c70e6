#pragma once

#include <pathkernel/sweep/sweep_state.h>
#include <pathkernel/sweep/trace.h>
#include <pathkernel/tangent/statistics.h>

#include <vector>

namespace pathkernel {

/// Whose the buffers' term is, for n queries (theory 2.5). Running statistics are a linear memory of the examples,
///     β' = (1−m) β + m Σ_i stat_i,
/// so that, backwards over the updates, with e the adjoint of β (0 at the end) and G^β the segment's gradient:
///     y = G^β + e;   share_i += m y·stat_i;   e ← e − m y
/// and Σ_s G^β_s·Δβ_s = Σ_i share_i + e·β_a, a the window's first step. What buffers were set to otherwise, and the rounding of the
/// run's own updates, is in neither.
class StatisticsAdjoint {
 public:
  explicit StatisticsAdjoint(int64_t queries) : n_(queries) {}

  /// @param G        the segment gradient; lists of the parameters, then of the buffers
  /// @param updates  of every pass of the step, in their order
  /// @return the shares of the step's draws [D, n] float64
  Tensor step(const StepTrace& trace, const FactorSet& G, const std::vector<std::vector<StatisticsUpdate>>& updates);
  /// e·β_a [n].  @param buffers  at the window's first step
  Tensor leftover(const Tensors& buffers) const;

  void put_into(SweepState& state, const std::string& prefix) const;
  void take_from(const SweepState& state, const std::string& prefix, size_t buffers, at::Device device);

 private:
  int64_t n_;
  Tensors e_;  ///< per buffer [n, its numbers] float64; undefined: zero
};

}  // namespace pathkernel
