#include <pathkernel/sweep/ledger.h>

#include <ATen/ops/arange.h>
#include <ATen/ops/maximum.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

namespace pathkernel {
namespace {

struct Spread { double median, largest; };

/// Over the finite entries; empty when the tensor is undefined or has none.  @param infinite  those as well: they are what matters
std::optional<Spread> spread(const Tensor& numbers, bool infinite = false) {
  if (!numbers.defined()) return std::nullopt;
  std::vector<double> v;
  const Tensor flat = numbers.to(at::kDouble).contiguous();
  for (int64_t i = 0; i < flat.numel(); ++i)
    if (const double x = flat.const_data_ptr<double>()[i]; std::isfinite(x) || (infinite && std::isinf(x))) v.push_back(x);
  if (v.empty()) return std::nullopt;
  std::sort(v.begin(), v.end());
  return Spread{(v[(v.size() - 1) / 2] + v[v.size() / 2]) / 2, v.back()};
}

/// Two significant digits: a share in percent, never rounded to a false zero.
std::string percent(double share) { return fmt::format("{:.2g} %", 100 * share); }

}  // namespace

const std::vector<Ledger::Term>& Ledger::terms() {
  static const std::vector<Term> all = {
      {"decay", "weight decay", "weight decay and what it left of the first weights", &Ledger::decay},
      {"regulariser", "regulariser", "the regulariser's term of the loss", &Ledger::regulariser},
      {"in_flight", "in flight", "pushes from before the window that arrived in it", &Ledger::in_flight},
      {"buffers", "buffers", "running statistics", &Ledger::buffers},
      {"jumps", "jumps", "where the network is discontinuous", &Ledger::jumps},
      {"rounding", "rounding", "the run's arithmetic", &Ledger::rounding},
  };
  return all;
}

std::string Shares::limits() const {
  if (others() == 0) return {};
  return fmt::format("the largest {} of {} contributions; the other {} sum to {:+.6g} (sizes {:.6g})", examples.size(0), of, others(), rest, rest_size);
}

int64_t Ledger::example_count() const {
  if (!keeps_largest()) return contributions.size(0);
  return kept.size(0) + (dropped_count.numel() > 0 ? dropped_count[0].item<int64_t>() : 0);
}

Shares Ledger::shares(int64_t query) const {
  if (!keeps_largest()) return {at::arange(contributions.size(0), at::kLong), contributions.select(1, query), contributions.size(0)};
  return {kept_examples.select(1, query), kept.select(1, query), example_count(), dropped[query].item<double>(), dropped_size[query].item<double>()};
}

Tensor Ledger::total() const { return keeps_largest() ? kept.sum(0) + dropped : contributions.sum(0); }

Tensor Ledger::total_size() const { return keeps_largest() ? kept.abs().sum(0) + dropped_size : contributions.abs().sum(0); }

Tensor Ledger::change() const {
  Tensor sum = total();
  for (const Term& term : terms()) sum.add_(this->*term.of);
  return sum;
}

Tensor Ledger::residual_of_rounding() const {
  const bool in_double = settings.precision == "double";
  const double epsilon = in_double ? std::numeric_limits<double>::epsilon() : std::numeric_limits<float>::epsilon();
  const Tensor sizes = outputs.abs().nan_to_num(0);  // not evaluated within blocks of steps
  const Tensor passed = sizes.sum(0) * 2 - sizes.select(0, 0) - sizes.select(0, -1);
  return at::maximum(passed * (8 * epsilon), total_size() * (in_double ? 1e-12 : 1e-6));
}

std::string LedgerSettings::conventions() const {
  if (!is_account()) return method + ": scores, not an account; nothing is claimed to add up, and the residual is what they leave of the change";
  return fmt::format("{}, frozen preconditioner, credit at draw time{}", convention == "ledger" ? "decay as a term of its own" : "propagated decay",
                     coupled ? ", examples coupled in their batch (each loss with its batch as context)" : "");
}

std::string LedgerSettings::summary_of(const Certificate& certificate) const { return is_account() ? certificate.brief(conventions()) : conventions(); }

std::string Certificate::brief(const std::string& conventions) const {
  std::string line;
  if (const auto r = spread(residual_to_contributions, true)) line += fmt::format("adds up to {:.1g} of Σ|c|", r->largest);
  else line += "residual not measured";
  if (const auto r = spread(residual_to_change)) line += fmt::format(" ({:.1g} of f_T − f_0)", r->median);
  if (const auto e = spread(split_uncertainty)) {
    line += e->largest > 0 ? "; shares uncertain by ±" + percent(e->median) : "; shares the same in a finer computation";
    if (percent(e->largest) != percent(e->median)) line += fmt::format(" (at most ±{})", percent(e->largest));
    line += fmt::format(", from {} sampled step{}", sampled_steps, sampled_steps == 1 ? "" : "s");
  } else {
    line += "; uncertainty of the shares not measured";
  }
  if (const auto a = spread(quadrature_defect)) line += fmt::format("; the rule's nodes miss {:.1g} (at most {:.1g}) along the path", a->median, a->largest);
  if (const auto d = spread(stride_deviation)) line += fmt::format("; shares differ by {} from those of stride 1 (on {} queries)", percent(d->median), stride_deviation.numel());
  if (correction_share > 0) line += fmt::format("; {} of the reverse pass by operations without a rule", percent(correction_share));
  if (!replay_exact) line += fmt::format("; replay drifted from step {} on, the drift is booked as rounding", first_drift);
  return line + "; conventions: " + conventions;
}

}  // namespace pathkernel
