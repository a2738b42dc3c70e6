#pragma once

#include <pathkernel/sweep/segment_gradient.h>

#include <memory>
#include <vector>

namespace pathkernel {

/// Some inputs of a chunk that are evaluated together.
struct QueryPiece {
  Tensors inputs;
  std::unique_ptr<Measurement> measurement;  ///< prepared with the final network's outputs of these inputs
  Tensor weights;                            ///< [n, inputs] float64: what each counts in each of the chunk's queries; undefined: each is a query
};

/// n queries at points of the path, each one input or a weighted sum over a set of inputs (QuerySet):
///     m_q = Σ_i w_qi m(x_i),   G_q = Σ_i w_qi G(x_i).
/// Inputs of sets are streamed through in pieces and summed, so that a set costs the recursion one query however many inputs it has;
/// who asks for values and gradients does not know which it is.
class QueryChunk {
 public:
  /// One end of a segment: the weights there and what is known of the queries with them.
  struct End {
    Tensors weights, buffers;                         ///< in the evaluation precision
    Tensor values;                                    ///< [n, K]; undefined until values() or gradient() has met every piece
    std::vector<std::unique_ptr<PathPoint>> points;   ///< one per piece; null where its tape is not held
  };

  /// One piece that holds all queries, or pieces of sets.  @param held  how many pieces' tapes are kept from one step to the next; those
  /// of the others are made again. Cost of a segment: a forward pass of every input, one more of those that are not held, a reverse pass.
  QueryChunk(Model& model, std::vector<QueryPiece> pieces, int64_t held);

  /// Evaluates the pieces that are held.
  End at(Tensors weights, Tensors buffers) const;
  /// @return end.values
  const Tensor& values(End& end) const;
  /// G on a segment (segment_gradient.h), and from.values.
  SegmentGradient gradient(const GradientRule& rule, End& from, const End& to, CorrectionShares* shares = nullptr) const;

  int64_t queries() const { return queries_; }     ///< n
  int64_t per_input() const { return paths_.front().per_input(); }

 private:
  bool sums() const { return weights_.front().defined(); }
  const PathPoint& point(const End& end, size_t piece, std::unique_ptr<PathPoint>& made) const;

  std::vector<std::unique_ptr<Measurement>> measurements_;
  std::vector<QueryPath> paths_;
  std::vector<Tensor> weights_;
  size_t held_;
  int64_t queries_;
};

}  // namespace pathkernel
