#include <pathkernel/sweep/segment_gradient.h>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/zeros_like.h>
#include <fmt/format.h>
#include <pathkernel/core/error.h>
#include <pathkernel/core/parse_number.h>
#include <pathkernel/tangent/capture.h>
#include <pathkernel/tangent/contraction.h>
#include <pathkernel/tangent/decisions.h>

#include <cmath>

namespace pathkernel {
namespace {

struct Node01 {
  double at, weight;
};

/// Gauss–Legendre nodes and weights on [0, 1], by Newton's method on the Legendre polynomial.
std::vector<Node01> gauss_legendre(int n) {
  std::vector<Node01> nodes;
  for (int k = 1; k <= n; ++k) {
    double x = std::cos(M_PI * (k - 0.25) / (n + 0.5)), slope = 1;
    for (int step = 0; step < 100; ++step) {
      double p0 = 1, p1 = x;
      for (int j = 2; j <= n; ++j) p0 = std::exchange(p1, ((2 * j - 1) * x * p1 - (j - 1) * p0) / j);
      slope = n * (x * p1 - p0) / (x * x - 1);
      const double move = p1 / slope;
      x -= move;
      if (std::abs(move) < 1e-16) break;
    }
    nodes.push_back({(1 - x) / 2, 1 / ((1 - x * x) * slope * slope)});
  }
  return nodes;
}

Tensors between(const Tensors& a, const Tensors& b, double u) {
  Tensors out;
  for (size_t l = 0; l < a.size(); ++l) out.push_back(at::isFloatingType(a[l].scalar_type()) ? a[l] + (b[l] - a[l]) * u : a[l]);
  return out;
}

/// One reverse pass per measurement; adds weight·G to `sum`.  @param mask  [n] 1 for inputs that count, 0 for others; undefined: all
void add_reverse(const PathPoint& at0, const PathPoint& at1, double weight, const Tensor& mask, std::vector<FactorSet>& sum, CorrectionShares* shares) {
  const int64_t K = at0.values.size(1);
  for (int64_t k = 0; k < K; ++k) {
    Reverse reverse(at0.tape, at1.tape);
    Tensor seed = at::zeros_like(at0.values);
    if (mask.defined()) seed.select(1, k).copy_(mask);
    else seed.select(1, k).fill_(1);
    if (at0.moves()) reverse.seed(at0.measured, seed);
    FactorSet g = reverse.run(shares);
    g.scale(weight);
    sum[size_t(k)].append(std::move(g));
  }
}

/// The secant rule on one segment, bisected where decisions differ.
class Secant {
 public:
  Secant(const GradientRule& rule, const QueryPath& queries, const SegmentEnd& begin, const SegmentEnd& end, SegmentGradient& out, CorrectionShares* shares)
      : rule_(rule), queries_(queries), begin_(begin), end_(end), out_(out), shares_(shares) {}

  std::unique_ptr<PathPoint> point(double u) const {
    return queries_.at(between(begin_.weights, end_.weights, u), between(begin_.buffers, end_.buffers, u));
  }

  /// From u0 to u1 for the inputs of `mask` [n] bool (undefined: all).
  void span(const PathPoint& from, const PathPoint& to, double u0, double u1, const Tensor& mask, int depth) {
    if (!from.moves()) {  // what is asked is a decision itself: all of its change is jumps
      add_jump(from, to, mask);
      return;
    }
    const Tensor differ = decided_differently(from.tape, to.tape);
    if (!differ.defined()) {
      add_reverse(from, to, u1 - u0, mask, out_.G, shares_);
      return;
    }
    const Tensor moved = mask.defined() ? differ.logical_and(mask) : differ;
    const Tensor calm = mask.defined() ? mask.logical_and(differ.logical_not()) : differ.logical_not();
    if (calm.any().item<bool>()) add_reverse(from, to, u1 - u0, calm, out_.G, shares_);
    if (!moved.any().item<bool>()) return;
    if (depth == rule_.bisections) {
      add_jump(from, to, moved);
      return;
    }
    const double middle = (u0 + u1) / 2;
    const auto between_them = point(middle);
    span(from, *between_them, u0, middle, moved, depth + 1);
    span(*between_them, to, middle, u1, moved, depth + 1);
  }

 private:
  /// For the inputs of `mask`; undefined: all.
  void add_jump(const PathPoint& from, const PathPoint& to, const Tensor& mask) {
    const Tensor change = to.values - from.values, jump = mask.defined() ? change * mask.unsqueeze(1) : change;
    out_.jumps = out_.jumps.defined() ? out_.jumps + jump : jump;
  }

  const GradientRule& rule_;
  const QueryPath& queries_;
  const SegmentEnd &begin_, &end_;
  SegmentGradient& out_;
  CorrectionShares* shares_;
};

void secant(const GradientRule& rule, const QueryPath& queries, const SegmentEnd& begin, const SegmentEnd& end, SegmentGradient& out, CorrectionShares* shares) {
  Secant secant(rule, queries, begin, end, out, shares);
  std::unique_ptr<PathPoint> held;
  const PathPoint* from = &begin.point;
  for (int64_t j = 0; j < rule.panels; ++j) {
    const double u0 = double(j) / double(rule.panels), u1 = double(j + 1) / double(rule.panels);
    auto next = j + 1 == rule.panels ? nullptr : secant.point(u1);
    const PathPoint* to = next ? next.get() : &end.point;
    secant.span(*from, *to, u0, u1, {}, 0);
    held = std::move(next);
    from = to;
  }
}

/// Gradients at points of the segment: Gauss–Legendre's, or each panel's left end.
void quadrature(const GradientRule& rule, const QueryPath& queries, const SegmentEnd& begin, const SegmentEnd& end, SegmentGradient& out, CorrectionShares* shares) {
  const double width = 1.0 / double(rule.panels);
  const std::vector<Node01> nodes = rule.kind == GradientRule::Kind::left ? std::vector<Node01>{{0, 1}} : gauss_legendre(rule.nodes);
  for (int64_t j = 0; j < rule.panels; ++j) {
    for (const Node01& node : nodes) {
      const double u = (double(j) + node.at) * width;
      const auto inner = u == 0 ? nullptr : queries.at(between(begin.weights, end.weights, u), between(begin.buffers, end.buffers, u));
      const PathPoint& point = inner ? *inner : begin.point;
      add_reverse(point, point, node.weight * width, {}, out.G, shares);
    }
  }
}

/// r = f₁ − f₀ − ⟨G, Δ⟩ of every input and measurement; with `closed` G ← G + (r/‖Δ‖²)Δ (theory 3, pitfall 1).
void close(const GradientRule& rule, const SegmentEnd& begin, const SegmentEnd& end, SegmentGradient& out) {
  const Tensor change = end.point.values - begin.point.values;
  const int64_t n = change.size(0), K = change.size(1);
  Tensors deltas;
  Tensor norm = at::zeros({}, change.options());
  for (const auto& [from, to] : {std::pair(&begin.weights, &end.weights), std::pair(&begin.buffers, &end.buffers)}) {
    for (size_t l = 0; l < from->size(); ++l) {
      const bool moves = at::isFloatingType((*from)[l].scalar_type());
      deltas.push_back(moves ? ((*to)[l] - (*from)[l]).reshape(-1) : Tensor());
      if (moves) norm = norm + deltas.back().square().sum();
    }
  }
  out.defect = at::zeros_like(change);
  for (int64_t k = 0; k < K; ++k) {
    Tensor r = change.select(1, k);
    for (size_t l = 0; l < deltas.size(); ++l) {
      if (deltas[l].defined()) r = r - contract(out.G[size_t(k)].parameters[l], deltas[l].unsqueeze(0), n).squeeze(1);
    }
    out.defect.select(1, k).copy_(r);
    if (!rule.closed || norm.item<double>() == 0) continue;
    const Tensor scale = (r / norm).view({n, 1, 1});
    for (size_t l = 0; l < deltas.size(); ++l) {
      if (deltas[l].defined()) out.G[size_t(k)].parameters[l].push_back(outer_factor(scale, deltas[l].view({1, -1, 1}).expand({n, -1, 1})));
    }
  }
}

}  // namespace

std::unique_ptr<PathPoint> QueryPath::at(const Tensors& weights, const Tensors& buffers) const {
  const at::AutoGradMode on(true);
  auto point = std::make_unique<PathPoint>();
  model_.bind_parameters(weights);
  model_.bind_buffers(buffers);
  Tensor values;
  {
    Capture capture(point->tape, Side::query, model_.parameters(), model_.buffers(), inputs_);
    values = measurement_.values(model_.forward(inputs_, Mode::eval));
    point->measured = point->tape.find(values);
  }
  point->values = values.detach();
  return point;
}

GradientRule GradientRule::parse(const std::string& name, int64_t panels) {
  GradientRule rule;
  rule.panels = panels;
  if (panels < 1) throw InvalidInput(fmt::format("explain: panels {} should be 1 or more", panels));
  if (name == "secant") return rule;
  std::string points = name == "closed" ? "gauss:2,closed" : name;
  if (const size_t comma = points.find(','); comma != std::string::npos && points.substr(comma) == ",closed") {
    rule.closed = true;
    points.resize(comma);
  }
  rule.kind = points == "left" ? Kind::left : Kind::gauss;
  if (points == "left" || points == "midpoint") return rule;
  if (points.rfind("gauss:", 0) == 0) {
    rule.nodes = parse_number<int64_t>(points.substr(6)).value_or(0);
    if (rule.nodes >= 1 && rule.nodes <= 64) return rule;
  }
  throw InvalidInput(fmt::format("explain: rule '{}' is not known; one of secant, gauss:Q (Q nodes, 1 to 64), midpoint, left, each of the last three also with ,closed", name));
}

std::string GradientRule::name() const {
  if (kind == Kind::secant) return "secant";
  return (kind == Kind::left ? "left" : fmt::format("gauss:{}", nodes)) + (closed ? ",closed" : "");
}

SegmentGradient segment_gradient(const GradientRule& rule, const QueryPath& queries, const SegmentEnd& begin, const SegmentEnd& end, CorrectionShares* shares) {
  SegmentGradient out;
  out.G.resize(size_t(begin.point.values.size(1)));
  if (rule.kind == GradientRule::Kind::secant) {
    secant(rule, queries, begin, end, out, shares);
    for (FactorSet& G : out.G) G.parameters.resize(begin.weights.size() + begin.buffers.size());  // nothing flows back from a decision
    return out;
  }
  quadrature(rule, queries, begin, end, out, shares);
  close(rule, begin, end, out);
  return out;
}

}  // namespace pathkernel
