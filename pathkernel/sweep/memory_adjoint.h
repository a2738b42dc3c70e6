#pragma once

#include <pathkernel/sweep/sweep_state.h>
#include <pathkernel/tangent/contraction.h>
#include <pathkernel/train/linear_form.h>

#include <string>
#include <vector>

namespace pathkernel {

/// p, adjoint of the optimizer's memory, for one parameter of W numbers and n queries (theory 2.2):
///     p = carried·dense + Σ_j a_j G_j
/// The last pushes G_j stay factored where they are rank one and come with a plain number (heavy ball): a product with them costs
/// 2Bn(in+out) a push instead of a pass over n·W numbers. When `lags` have gathered they go into the dense part in one product; or,
/// where the whole history is cheaper factored than dense (theory 4), no dense part is ever made, and a push is dropped when its
/// weight a_j has fallen below the evaluation precision (μᴷ).
class MemoryAdjoint {
 public:
  /// How the pushes of a parameter are best kept.
  struct Plan {
    int64_t lags = 0;          ///< pushes kept factored; 0: each goes into the dense part at once
    bool dense_never = false;  ///< old pushes are dropped, not written out
  };
  /// The cheaper way (theory 4f; numbers of operations).  @param rows  B, examples of a batch   @param mu  of the heavy ball
  static Plan plan(int64_t out, int64_t in, int64_t rows, int64_t queries, double mu, at::ScalarType precision);

  /// Numbers kept per query, at most: the dense part and the pushes beside it, or the larger of the two where it is one or the other.
  static int64_t numbers_per_query(const LinearForm& form, const Tensor& weights, int64_t rows, at::ScalarType precision);

  MemoryAdjoint() = default;
  MemoryAdjoint(int64_t queries, int64_t numbers, at::TensorOptions options) : n_(queries), numbers_(numbers), options_(options) {}
  int64_t numbers() const { return numbers_; }
  /// False until the first push.
  bool defined() const { return dense_.defined() || used_ > 0; }

  /// p ← p − d∘G
  void push(const FactorList& G, const Coefficient& d, int64_t rows, double mu);
  /// p ← p − d∘q for dense q [n, W]
  void push(const Tensor& q, const Coefficient& d);
  /// p ← μ p
  void carry(double mu);

  /// ⟨row, p⟩, [count, n]
  Tensor product(const FactorList& rows, int64_t count) const;
  /// p·v, [n]
  Tensor along(const Tensor& v) const;
  /// p = carried·numbers, [n, W]; the numbers may be changed in place.
  struct Written { Tensor& numbers; double carried; };
  Written written();
  /// The dense part holds the whole of p now, with nothing left to multiply in.
  void settled() { carried_ = 1; }

  /// All of it, under names that begin with `prefix`.
  void put_into(SweepState& state, const std::string& prefix) const;
  void take_from(const SweepState& state, const std::string& prefix);

 private:
  void keep(const Factor& G, double weight);
  void flush();
  Factor kept() const;
  Tensor against_kept(const Factor& rows, int64_t count) const;

  int64_t n_ = 0, numbers_ = 0;
  at::TensorOptions options_;
  Tensor dense_;
  double carried_ = 1;
  Plan plan_;
  bool planned_ = false;
  Tensor left_, right_;          ///< the pushes kept, [lags·n, out] and [lags·n, in]
  std::vector<double> weights_;  ///< a_j
  int64_t used_ = 0, next_ = 0;  ///< next_: the oldest, which the next push replaces
};

}  // namespace pathkernel
