#include <pathkernel/sweep/segment_gradient.h>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/zeros_like.h>
#include <fmt/format.h>
#include <pathkernel/core/error.h>
#include <pathkernel/tangent/capture.h>

#include <charconv>
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

/// One reverse pass per measurement; adds weight·G to `sum`.
void add_reverse(const PathPoint& at0, const PathPoint& at1, double weight, std::vector<FactorSet>& sum, CorrectionShares* shares) {
  const int64_t K = at0.values.size(1);
  for (int64_t k = 0; k < K; ++k) {
    Reverse reverse(at0.tape, at1.tape);
    Tensor seed = at::zeros_like(at0.values);
    seed.select(1, k).fill_(1);
    reverse.seed(at0.measured, seed);
    FactorSet g = reverse.run(shares);
    g.scale(weight);
    sum[size_t(k)].append(std::move(g));
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
  if (panels < 1) throw InvalidInput(fmt::format("explain: --panels {} should be 1 or more", panels));
  if (name == "secant") return rule;
  if (name == "left") {
    rule.kind = Kind::left;
    return rule;
  }
  if (name.rfind("gauss:", 0) == 0) {
    const auto [end, error] = std::from_chars(name.data() + 6, name.data() + name.size(), rule.nodes);
    if (error == std::errc() && end == name.data() + name.size() && rule.nodes >= 1 && rule.nodes <= 64) {
      rule.kind = Kind::gauss;
      return rule;
    }
  }
  throw InvalidInput(fmt::format("explain: --rule '{}' is not known; one of secant, gauss:Q (Q nodes, 1 to 64), left", name));
}

std::string GradientRule::name() const {
  return kind == Kind::secant ? "secant" : kind == Kind::left ? "left" : fmt::format("gauss:{}", nodes);
}

std::vector<FactorSet> segment_gradient(const GradientRule& rule, const QueryPath& queries, const SegmentEnd& begin, const SegmentEnd& end, CorrectionShares* shares) {
  std::vector<FactorSet> sum(size_t(begin.point.values.size(1)));
  const double width = 1.0 / double(rule.panels);
  const auto inner_point = [&](double u) { return queries.at(between(begin.weights, end.weights, u), between(begin.buffers, end.buffers, u)); };
  if (rule.kind == GradientRule::Kind::gauss) {
    const std::vector<Node01> nodes = gauss_legendre(rule.nodes);
    for (int64_t j = 0; j < rule.panels; ++j) {
      for (const Node01& node : nodes) {
        const auto point = inner_point((double(j) + node.at) * width);
        add_reverse(*point, *point, node.weight * width, sum, shares);
      }
    }
    return sum;
  }
  std::unique_ptr<PathPoint> held;
  const PathPoint* from = &begin.point;
  for (int64_t j = 0; j < rule.panels; ++j) {
    const bool last = j + 1 == rule.panels;
    auto next = last ? nullptr : inner_point(double(j + 1) * width);
    const PathPoint* to = last ? &end.point : next.get();
    if (rule.kind == GradientRule::Kind::left) add_reverse(*from, *from, width, sum, shares);
    else add_reverse(*from, *to, width, sum, shares);
    held = std::move(next);
    from = to;
  }
  return sum;
}

}  // namespace pathkernel
