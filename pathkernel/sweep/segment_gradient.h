#pragma once

#include <pathkernel/model/model.h>
#include <pathkernel/sweep/measurement.h>
#include <pathkernel/tangent/reverse.h>
#include <pathkernel/tangent/tape.h>

#include <memory>
#include <string>
#include <vector>

namespace pathkernel {

/// The queries' measurements at one point of the path, with the tape that leads to them.
struct PathPoint {
  Tape tape;
  ValueId measured = no_value;
  Tensor values;  ///< [n, K]

  /// Does what was measured change smoothly with the weights at all? Of a decision (an argmax, a comparison) nothing flows back.
  bool moves() const { return measured != no_value && tape.values[size_t(measured)].active; }
};

/// Evaluates a chunk of queries at points of the path.
class QueryPath {
 public:
  QueryPath(Model& model, Tensors inputs, const Measurement& measurement) : model_(model), inputs_(std::move(inputs)), measurement_(measurement) {}
  /// @param weights, buffers  in the evaluation precision; the model is left bound to them
  std::unique_ptr<PathPoint> at(const Tensors& weights, const Tensors& buffers) const;
  int64_t inputs() const { return inputs_.front().size(0); }
  int64_t per_input() const { return measurement_.per_input(); }

 private:
  Model& model_;
  Tensors inputs_;
  const Measurement& measurement_;
};

/// How G_s(x) is taken on a segment (theory 3 and 3b): the rule, and into how many equal parts the segment is cut for it.
struct GradientRule {
  enum class Kind { secant, gauss, left };
  Kind kind = Kind::secant;
  int nodes = 1;         ///< gauss: Gauss–Legendre nodes per panel; one node is the midpoint
  bool closed = false;   ///< gauss, left: G ← G + (r/‖Δ‖²)Δ with r what G·Δ lacks (Gonzalez), complete but no better a split
  int64_t panels = 1;
  int bisections = 12;   ///< secant: how often a segment is halved around a jump of f before what is left counts as the jump
  /// "secant" | "gauss:Q" | "midpoint" | "left", the last three also with ",closed"; "closed" is gauss:2,closed.
  /// @throws InvalidInput for another name.
  static GradientRule parse(const std::string& name, int64_t panels);
  std::string name() const;
  bool complete() const { return kind == Kind::secant || closed; }
};

/// One end of a segment: the weights there and the queries evaluated with them.
struct SegmentEnd {
  const Tensors& weights;
  const Tensors& buffers;
  const PathPoint& point;
};

/// G_s of every query on one segment.
struct SegmentGradient {
  std::vector<FactorSet> G;  ///< one FactorSet of n inputs per measurement k = 0…K−1; lists are one per parameter, then one per buffer
  Tensor jumps;              ///< [n, K] secant: what f jumps by where a decision inside the network falls differently; undefined: nowhere
  Tensor defect;             ///< [n, K] gauss, left: f₁ − f₀ − ⟨G, Δ⟩ before any closure; undefined for the secant, where it is rounding
};

/// Secant: ⟨G, w₁ − w₀⟩ + ⟨G^β, β₁ − β₀⟩ + jumps = f₁ − f₀ exactly. Where the two ends took other operations, or a decision (argmax, a
/// comparison, rounding) fell differently, the segment is bisected for the inputs concerned (theory 3b, "Jumps").
/// Cost: secant one reverse pass per panel and k, one forward per inner point; a jump costs up to `bisections` of both.
SegmentGradient segment_gradient(const GradientRule& rule, const QueryPath& queries, const SegmentEnd& begin, const SegmentEnd& end, CorrectionShares* shares = nullptr);

}  // namespace pathkernel
