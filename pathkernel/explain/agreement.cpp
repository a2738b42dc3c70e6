#include <pathkernel/explain/agreement.h>

#include <fmt/format.h>

#include <ATen/TensorOperators.h>
#include <ATen/ops/minimum.h>
#include <ATen/ops/sort.h>
#include <ATen/ops/zeros_like.h>

#include <utility>

namespace pathkernel {
namespace {

constexpr double float32_sums = 1e-6;   ///< of Σ|terms|, where the terms are stored in float32
constexpr double float64_sums = 1e-12;

Tensor sum_by(const Tensor& rows, const Tensor& owner, const Tensor& like) {
  return at::zeros_like(like).index_add_(0, owner, rows);
}

/// "" when |a − b| ≤ tolerance·scale everywhere, else what differs most. NaN counts as a difference.
std::string compare(const std::string& what, const Tensor& a, const Tensor& b, const Tensor& scale, double tolerance) {
  const Tensor difference = (a - b).abs();
  const Tensor excess = (difference - tolerance * scale).nan_to_num(1e300, 1e300, 1e300);
  if (excess.numel() == 0 || excess.max().item<double>() <= 0) return {};
  const int64_t at = excess.argmax().item<int64_t>();
  const int64_t Q = excess.size(-1);
  return fmt::format("{}: {:.9g} against {:.9g} at row {}, query {}", what, a.reshape(-1)[at].item<double>(),
                     b.reshape(-1)[at].item<double>(), at / Q, at % Q);
}

std::string index_out_of_range(const char* name, const Tensor& index, int64_t begin, int64_t end) {
  if (index.numel() == 0) return {};
  const int64_t low = index.min().item<int64_t>(), high = index.max().item<int64_t>();
  if (low >= begin && high < end) return {};
  return fmt::format("{} has {} outside {} … {}", name, low < begin ? low : high, begin, end - 1);
}

}  // namespace

namespace {

using Found = std::string;

/// The draws against every view of them.
Found first_disagreement_of_draws(const Ledger& l) {
  const int64_t first = l.settings.first_step, last = l.settings.last_step;
  Found found;
  const auto differ = [&found](Found what) { found = std::move(what); return !found.empty(); };
  if (differ(index_out_of_range("draw_example", l.draw_example, 0, l.example_count()))) return found;
  if (differ(index_out_of_range("draw_step", l.draw_step, first, last))) return found;

  const Tensor draws = l.draws.to(at::kDouble), size = draws.abs();
  const Tensor all = l.contributions.sum(0, true), all_size = size.sum(0, true);
  const Tensor step = l.draw_step - first;
  if (differ(compare("contributions against the sum of an example's draws", l.contributions, sum_by(draws, l.draw_example, l.contributions),
                     sum_by(size, l.draw_example, l.contributions) + 1e-9 * all_size, float32_sums))) return found;
  if (differ(compare("by_step against the sum of a step's draws", l.by_step, sum_by(draws, step, l.by_step),
                     sum_by(size, step, l.by_step) + 1e-9 * all_size, float32_sums))) return found;

  // A layer's terms may cancel within one example, so their own sizes set the scale.
  const Tensor layers = l.by_layer_step.to(at::kDouble), classes = l.by_class_step.to(at::kDouble);
  const Tensor layer_size = layers.abs().sum({0, 1}).unsqueeze(0) + all_size;
  if (differ(compare("by_layer against the sum of contributions", l.by_layer.sum(0, true), all, layer_size, float32_sums))) return found;
  if (differ(compare("by_layer against by_layer_step", l.by_layer, layers.sum(0), layer_size, float32_sums))) return found;
  if (differ(compare("by_class against the sum of contributions", l.by_class.sum(0, true), all, all_size, float32_sums))) return found;
  return compare("by_class against by_class_step", l.by_class, classes.sum(0), all_size, float32_sums);
}

/// Is there an example twice among those kept of a query?  @param examples  [K, Q]
bool repeats(const Tensor& examples) {
  const Tensor sorted = std::get<0>(at::sort(examples, 0));
  const int64_t K = sorted.size(0);
  return K > 1 && (sorted.narrow(0, 1, K - 1) == sorted.narrow(0, 0, K - 1)).any().item<bool>();
}

/// The largest contributions and what is said of the others, against the views.
Found first_disagreement_of_kept(const Ledger& l) {
  const int64_t K = l.kept.size(0), N = l.example_count();
  if (K < 1) return "kept has no rows";
  if (l.dropped_count.ne(N - K).any().item<bool>() || N < K) return fmt::format("dropped_count is not the same for every query, or below 0: {} for the first", N - K);
  if (l.example_targets.defined() && l.example_targets.size(0) != N)
    return fmt::format("kept and dropped_count speak of {} examples, example_targets of {}", N, l.example_targets.size(0));
  if (Found range = index_out_of_range("kept_examples", l.kept_examples, 0, N); !range.empty()) return range;
  if (repeats(l.kept_examples)) return "kept_examples names an example twice for one query";
  const Tensor size = l.kept.abs(), least = size.narrow(0, K - 1, 1), all = l.total().unsqueeze(0), all_size = l.total_size().unsqueeze(0);
  if (K > 1 && (size.narrow(0, 1, K - 1) > size.narrow(0, 0, K - 1)).any().item<bool>()) return "kept is not ordered by size";
  const auto most = [&](const char* what, const Tensor& x, const Tensor& bound) {  // x ≤ bound
    return compare(what, x, at::minimum(x, bound), all_size, float64_sums);
  };
  Found found;
  const auto differ = [&found](Found what) { found = std::move(what); return !found.empty(); };
  if (differ(most("dropped against dropped_size", l.dropped.abs().unsqueeze(0), l.dropped_size.unsqueeze(0)))) return found;
  if (differ(most("dropped_size against the smallest that was kept", l.dropped_size.unsqueeze(0), least * (N - K)))) return found;
  for (const auto& [name, by] : {std::pair{"by_step against kept + dropped", &l.by_step}, {"by_layer against kept + dropped", &l.by_layer}, {"by_class against kept + dropped", &l.by_class}})
    if (differ(compare(name, by->sum(0, true), all, by->abs().sum(0, true) + all_size, float32_sums))) return found;
  return {};
}

}  // namespace

std::string first_disagreement(const Ledger& l) {
  Found found;
  const auto differ = [&found](Found what) { found = std::move(what); return !found.empty(); };
  if (differ(l.keeps_largest() ? first_disagreement_of_kept(l) : first_disagreement_of_draws(l))) return found;

  const Tensor sum = l.initial + l.change() + l.residual;
  Tensor scale = l.initial.abs() + l.final.abs() + l.total_size();
  for (const Ledger::Term& term : Ledger::terms()) scale.add_((l.*term.of).abs());
  if (differ(compare("final against initial + Σ terms", l.final.unsqueeze(0), sum.unsqueeze(0), scale.unsqueeze(0), float64_sums))) return found;

  const Tensor height = l.outputs.nan_to_num(0).abs().amax(0, true) + scale.unsqueeze(0);
  if (differ(compare("outputs at the first step against initial", l.outputs[0].unsqueeze(0), l.initial.unsqueeze(0), height, float32_sums))) return found;
  return compare("outputs at the end against final", l.outputs[-1].unsqueeze(0), l.final.unsqueeze(0), height, float32_sums);
}

}  // namespace pathkernel
