#include <pathkernel/sweep/query_chunk.h>

#include <ATen/ops/matmul.h>
#include <pathkernel/core/error.h>
#include <pathkernel/tangent/contraction.h>

#include <utility>

namespace pathkernel {
namespace {

void add(Tensor& sum, const Tensor& part) { sum = sum.defined() ? sum.add_(part) : part; }

/// w·t [n, K], in float64.
Tensor weighted(const Tensor& weights, const Tensor& t) { return at::matmul(weights.to(t.device()), t.to(at::kDouble)); }

/// The sets' part of a piece: dense sums [n, W] of every parameter's gradients; undefined where none has a gradient.
Tensors sums_of(const FactorSet& G, const Tensor& weights) {
  Tensors sums;
  for (const FactorList& list : G.parameters)
    sums.push_back(list.empty() ? Tensor() : weighted_sums(list, weights.to(list.front().left.options()), list.front().numbers));
  return sums;
}

FactorSet as_factors(Tensors sums, int64_t n) {
  FactorSet G;
  G.examples = n;
  for (Tensor& sum : sums) G.parameters.push_back(sum.defined() ? FactorList{dense_factor(std::move(sum))} : FactorList{});
  return G;
}

}  // namespace

QueryChunk::QueryChunk(Model& model, std::vector<QueryPiece> pieces, int64_t held) : held_(size_t(held)) {
  for (QueryPiece& piece : pieces) {
    paths_.emplace_back(model, std::move(piece.inputs), *piece.measurement);
    measurements_.push_back(std::move(piece.measurement));
    weights_.push_back(std::move(piece.weights));
  }
  queries_ = sums() ? weights_.front().size(0) : paths_.front().inputs();
  if (!sums() && paths_.size() != 1) throw InvariantViolated("QueryChunk: inputs that are queries themselves stand in one piece");
}

/// The piece's tape at an end: the one that is held, or one made now.
const PathPoint& QueryChunk::point(const End& end, size_t piece, std::unique_ptr<PathPoint>& made) const {
  if (end.points[piece]) return *end.points[piece];
  made = paths_[piece].at(end.weights, end.buffers);
  return *made;
}

QueryChunk::End QueryChunk::at(Tensors weights, Tensors buffers) const {
  End end{std::move(weights), std::move(buffers), {}, {}};
  end.points.resize(paths_.size());
  for (size_t k = 0; k < paths_.size() && k < held_; ++k) end.points[k] = paths_[k].at(end.weights, end.buffers);
  if (!sums()) end.values = end.points.front()->values;
  return end;
}

const Tensor& QueryChunk::values(End& end) const {
  if (end.values.defined()) return end.values;
  Tensor sum;
  for (size_t k = 0; k < paths_.size(); ++k) {
    std::unique_ptr<PathPoint> made;
    add(sum, weighted(weights_[k], point(end, k, made).values));
  }
  return end.values = sum;
}

SegmentGradient QueryChunk::gradient(const GradientRule& rule, End& from, const End& to, CorrectionShares* shares) const {
  if (!sums())
    return segment_gradient(rule, paths_.front(), {from.weights, from.buffers, *from.points.front()}, {to.weights, to.buffers, *to.points.front()}, shares);
  SegmentGradient out;
  std::vector<Tensors> sums;
  sums.resize(size_t(per_input()));
  Tensor values;
  for (size_t k = 0; k < paths_.size(); ++k) {
    std::unique_ptr<PathPoint> made_from, made_to;
    const PathPoint &begin = point(from, k, made_from), &end = point(to, k, made_to);
    const SegmentGradient part = segment_gradient(rule, paths_[k], {from.weights, from.buffers, begin}, {to.weights, to.buffers, end}, shares);
    for (size_t m = 0; m < sums.size(); ++m) {
      Tensors of_piece = sums_of(part.G[m], weights_[k]);
      sums[m].resize(of_piece.size());
      for (size_t l = 0; l < of_piece.size(); ++l)
        if (of_piece[l].defined()) add(sums[m][l], of_piece[l]);
    }
    if (part.jumps.defined()) add(out.jumps, weighted(weights_[k], part.jumps));
    if (part.defect.defined()) add(out.defect, weighted(weights_[k], part.defect));
    if (!from.values.defined()) add(values, weighted(weights_[k], begin.values));
  }
  if (!from.values.defined()) from.values = values;
  for (Tensors& sum : sums) out.G.push_back(as_factors(std::move(sum), queries_));
  return out;
}

}  // namespace pathkernel
