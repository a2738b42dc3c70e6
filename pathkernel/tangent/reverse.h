#pragma once

#include <pathkernel/tangent/factors.h>
#include <pathkernel/tangent/rule.h>
#include <pathkernel/tangent/tape.h>

#include <vector>

namespace pathkernel {

/// Reverse accumulation over a tape that holds both ends of a segment: per-example gradients G with
///     ⟨G_i, (θ₁ − θ₀)⟩ = y_i(θ₁) − y_i(θ₀)   exactly, for any step
/// where θ are parameters and buffers and y is the value the cotangent was given for. With one tape for both ends: the ordinary
/// gradient.
class Reverse {
 public:
  /// @param at0, at1  tapes of the same operations (same_structure); may be the same tape
  Reverse(const Tape& at0, const Tape& at1);

  /// Adds to the cotangent of a value. `cotangent` has the value's shape.
  void seed(ValueId value, Tensor cotangent);
  /// Runs backwards over the tape. @return per-example gradients: one list per parameter, then one per buffer.
  FactorSet run(CorrectionShares* shares = nullptr);

  const Tape& at0;
  const Tape& at1;
  Ends ends(ValueId value) const { return {at0.values[size_t(value)].tensor, at1.values[size_t(value)].tensor}; }
  void add(ValueId value, const Tensor& cotangent);
  void add_shared(ValueId value, Factor factor) { shared_[size_t(value)].push_back(std::move(factor)); }
  CorrectionShares* shares() const { return shares_; }

 private:
  void pull(const Node& node0, const Node& node1);
  /// Per-example gradients of a value made of parameters only: as factors where that goes, else one example at a time.
  void pull_shared(const Node& node0, const Node& node1);
  /// A transposed matrix swaps its factors' sides, a scaled value its factors' size: nothing is written out (networks in the tangent kernel's parametrisation
  /// scale every weight). False where the operation, of one value, is neither.
  bool pull_factored(const Node& node0, const Node& node1);
  void pull_alias(const Node& node0, const Node& node1);
  Tensors cotangents_;               ///< per value that belongs to examples
  std::vector<FactorList> shared_;   ///< per value that is shared
  CorrectionShares* shares_ = nullptr;
};

}  // namespace pathkernel
