#pragma once

#include <pathkernel/sweep/segment_gradient.h>
#include <pathkernel/sweep/sweep_state.h>
#include <pathkernel/sweep/trace.h>

namespace pathkernel {

/// E, the split's uncertainty (theory 3b, "what the residual certifies"): on sampled steps the segment gradient is taken again with
/// twice the panels; what that changes in the step's own shares, −⟨(D or E)∘G, b_i g_i⟩, is set against the shares:
///     E_q² = Σ_s ‖c_s^(m) − c_s^(2m)‖² / Σ_s ‖c_s^(2m)‖²
/// With memory the shares of neighbouring steps average, and E overstates.
class Uncertainty {
 public:
  explicit Uncertainty(int64_t queries);
  /// @param G  with m panels, @param refined  with 2m, both of lane `columns`
  void sample(const StepTrace& trace, const FactorSet& G, const FactorSet& refined, const Tensor& columns, CoupledPasses& coupled);
  Tensor estimate() const;  ///< [Q] float64

  void put_into(SweepState& state) const;
  void take_from(const SweepState& state);

 private:
  Tensor change_, size_;    ///< [Q] sums of squares
};

/// `count` steps of T, spread evenly, each in the middle of its stretch.
std::vector<bool> sampled_steps(int64_t T, int64_t count);

}  // namespace pathkernel
