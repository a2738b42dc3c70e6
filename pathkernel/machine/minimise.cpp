#include <pathkernel/machine/minimise.h>

#include <algorithm>
#include <cmath>
#include <deque>

namespace pathkernel {
namespace {

using Vector = std::vector<double>;

double dot(const Vector& a, const Vector& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

Vector difference(const Vector& a, const Vector& b) {
  Vector d(a.size());
  for (size_t i = 0; i < a.size(); ++i) d[i] = a[i] - b[i];
  return d;
}

void add(Vector& to, double factor, const Vector& v) {
  for (size_t i = 0; i < to.size(); ++i) to[i] += factor * v[i];
}

struct Pair { Vector step, change; };  ///< of the point, and of the gradient

/// −H·g with the inverse Hessian that the pairs say (two-loop recursion).
Vector direction(const std::deque<Pair>& pairs, const Vector& gradient) {
  Vector d = gradient;
  std::vector<double> a(pairs.size());
  for (size_t k = pairs.size(); k-- > 0;) {
    a[k] = dot(pairs[k].step, d) / dot(pairs[k].step, pairs[k].change);
    add(d, -a[k], pairs[k].change);
  }
  if (!pairs.empty()) {
    const double scale = dot(pairs.back().step, pairs.back().change) / dot(pairs.back().change, pairs.back().change);
    for (double& v : d) v *= scale;
  }
  for (size_t k = 0; k < pairs.size(); ++k) add(d, a[k] - dot(pairs[k].change, d) / dot(pairs[k].step, pairs[k].change), pairs[k].step);
  for (double& v : d) v = -v;
  return d;
}

class Search {
 public:
  Search(const SmoothFunction& f, Vector start, const Vector& lower, const Vector& upper, const MinimiseOptions& options)
      : f_(f), lower_(lower), upper_(upper), options_(options), x_(clipped(std::move(start))) {}

  std::optional<Minimum> run() {
    const auto first = evaluate(x_);
    if (!first) return {};
    now_ = *first;
    while (!done() && result_.iterations < options_.iterations && advance()) ++result_.iterations;
    done();  // the gradient where it ended
    result_.at = x_;
    result_.value = now_.value;
    return result_;
  }

 private:
  Vector clipped(Vector x) const {
    for (size_t i = 0; i < x.size(); ++i) x[i] = std::clamp(x[i], lower_[i], upper_[i]);
    return x;
  }

  std::optional<ValueAndGradient> evaluate(const Vector& x) {
    ++result_.evaluations;
    auto value = f_(x);
    if (value && !std::isfinite(value->value)) return {};
    return value;
  }

  bool blocked(size_t i) const { return (x_[i] <= lower_[i] && now_.gradient[i] > 0) || (x_[i] >= upper_[i] && now_.gradient[i] < 0); }

  bool done() {
    free_ = now_.gradient;
    for (size_t i = 0; i < x_.size(); ++i)
      if (blocked(i)) free_[i] = 0;
    result_.largest_gradient = 0;
    for (const double g : free_) result_.largest_gradient = std::max(result_.largest_gradient, std::abs(g));
    result_.converged = result_.converged || result_.largest_gradient <= options_.gradient;
    return result_.converged;
  }

  /// One step; false when none leads down any more.
  bool advance() {
    Vector d = direction(pairs_, free_);
    for (size_t i = 0; i < d.size(); ++i)
      if (blocked(i)) d[i] = 0;
    if (!(dot(d, free_) < 0)) return steepest();
    if (-dot(d, free_) <= options_.decrease * std::max(1.0, std::abs(now_.value))) {  // less than the value's digits can show
      result_.converged = true;
      return false;
    }
    double step = pairs_.empty() ? std::min(1.0, 1 / std::sqrt(dot(d, d))) : 1;
    for (int tries = 0; tries < 40; ++tries, step /= 2) {
      Vector to = x_;
      add(to, step, d);
      to = clipped(std::move(to));
      const Vector moved = difference(to, x_);
      const auto there = evaluate(to);
      if (there && there->value <= now_.value + 1e-4 * dot(now_.gradient, moved) && dot(moved, moved) > 0) return accept(std::move(to), moved, *there);
    }
    return steepest();
  }

  /// The quadratic model was of no use: begins anew without it.
  bool steepest() {
    if (pairs_.empty()) return false;
    pairs_.clear();
    return advance();
  }

  bool accept(Vector to, const Vector& moved, const ValueAndGradient& there) {
    Pair pair{moved, difference(there.gradient, now_.gradient)};
    const double curvature = dot(pair.step, pair.change);
    if (curvature > 1e-10 * std::sqrt(dot(pair.step, pair.step) * dot(pair.change, pair.change))) pairs_.push_back(std::move(pair));
    if (pairs_.size() > static_cast<size_t>(options_.pairs)) pairs_.pop_front();
    result_.converged = now_.value - there.value <= options_.decrease * std::max(1.0, std::abs(there.value));
    x_ = std::move(to);
    now_ = there;
    return true;
  }

  const SmoothFunction& f_;
  const Vector &lower_, &upper_;
  MinimiseOptions options_;
  Vector x_, free_;  ///< the point, and the gradient's components that may move it
  ValueAndGradient now_;
  std::deque<Pair> pairs_;
  Minimum result_;
};

}  // namespace

std::optional<Minimum> minimise(const SmoothFunction& f, std::vector<double> start, const std::vector<double>& lower, const std::vector<double>& upper,
                                const MinimiseOptions& options) {
  return Search(f, std::move(start), lower, upper, options).run();
}

}  // namespace pathkernel
