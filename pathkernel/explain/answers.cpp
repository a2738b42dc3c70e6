#include <pathkernel/explain/answers.h>

#include <pathkernel/core/error.h>

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

namespace pathkernel {
namespace {

std::vector<double> numbers(const Tensor& row) {
  const Tensor c = row.contiguous();
  return {c.const_data_ptr<double>(), c.const_data_ptr<double>() + c.numel()};
}

double entry(const Tensor& row, int64_t query) { return row[query].item<double>(); }

/// The k examples for which sign·c is largest and positive; ties go to the smaller number.  @param of  whose c they are
std::vector<Push> strongest(const std::vector<double>& c, const int64_t* of, double sign, int64_t k, double total) {
  std::vector<int64_t> order(c.size());
  std::iota(order.begin(), order.end(), 0);
  const auto end = order.begin() + std::min<int64_t>(k, static_cast<int64_t>(c.size()));
  std::partial_sort(order.begin(), end, order.end(),
                    [&](int64_t a, int64_t b) { return sign * c[a] != sign * c[b] ? sign * c[a] > sign * c[b] : of[a] < of[b]; });
  std::vector<Push> found;
  for (auto i = order.begin(); i != end && sign * c[*i] > 0; ++i) found.push_back({of[*i], c[*i], std::abs(c[*i]) / total});
  return found;
}

}  // namespace

void check_query(const Ledger& ledger, int64_t query) {
  if (query >= 0 && query < ledger.query_count()) return;
  throw InvalidInput(fmt::format("query {} is out of range: this ledger has the queries 0 … {}", query, ledger.query_count() - 1));
}

Top top(const Ledger& ledger, int64_t query, int64_t k) {
  check_query(ledger, query);
  if (k < 0) throw InvalidInput(fmt::format("top: {} examples asked for; give a number from 0 up", k));
  const Shares shares = ledger.shares(query);
  const std::vector<double> c = numbers(shares.values);
  const Tensor examples = shares.examples.contiguous();
  Top result;
  result.limits = shares.limits();
  for (const double x : c) {
    if (x > 0) result.sum_towards += x, ++result.count_towards;
    if (x < 0) result.sum_away += x, ++result.count_away;
  }
  result.sum_towards += (shares.rest_size + shares.rest) / 2;
  result.sum_away -= (shares.rest_size - shares.rest) / 2;
  const double total = result.sum_towards - result.sum_away;
  result.towards = strongest(c, examples.const_data_ptr<int64_t>(), +1, k, total);
  result.away = strongest(c, examples.const_data_ptr<int64_t>(), -1, k, total);
  return result;
}

std::vector<Ledger::Term> present_terms(const Ledger& ledger) {
  std::vector<Ledger::Term> present;
  for (const Ledger::Term& term : Ledger::terms())
    if (term.of == &Ledger::rounding || (ledger.*term.of).ne(0).any().item<bool>()) present.push_back(term);
  return present;
}

std::vector<WaterfallBar> waterfall(const Ledger& ledger, int64_t query) {
  check_query(ledger, query);
  using Kind = WaterfallBar::Kind;
  std::vector<WaterfallBar> bars{{Kind::initial, "initial network", entry(ledger.initial, query)}};
  if (is_classification(ledger)) {
    const std::vector<double> by_class = numbers(ledger.by_class.select(1, query));
    for (size_t k = 0; k < by_class.size(); ++k) bars.push_back({Kind::examples, "examples of " + ledger.classes[k], by_class[k]});
    std::stable_sort(bars.begin() + 1, bars.end(), [](const auto& a, const auto& b) { return a.amount > b.amount; });
  } else {
    const Top all = top(ledger, query, 0);
    bars.push_back({Kind::examples, "examples pushing up", all.sum_towards});
    bars.push_back({Kind::examples, "examples pushing down", all.sum_away});
  }
  for (const Ledger::Term& term : present_terms(ledger)) bars.push_back({Kind::term, term.label, entry(ledger.*term.of, query)});
  bars.push_back({Kind::residual, "residual", entry(ledger.residual, query)});
  double height = 0;
  for (WaterfallBar& bar : bars) {
    bar.from = height;
    bar.to = height += bar.amount;
  }
  const double final = entry(ledger.final, query);
  bars.back().to = final;  // the identity says so (agreement.h); what differs is the rounding of this very sum
  bars.push_back({Kind::final, "final network", final, 0, final});
  return bars;
}

Certificate certificate_of(const Ledger& ledger, int64_t query) {
  check_query(ledger, query);
  Certificate one = ledger.certificate;
  for (Tensor* t : {&one.residual_to_contributions, &one.residual_to_change, &one.rounding_to_change, &one.split_uncertainty, &one.quadrature_defect})
    if (t->defined()) *t = t->narrow(0, query, 1);
  return one;
}

std::string class_name(const std::vector<std::string>& class_names, int64_t k) {
  if (k < 0) return {};
  return k < static_cast<int64_t>(class_names.size()) ? class_names[static_cast<size_t>(k)] : std::to_string(k);
}

std::string target_of(const Ledger& ledger, int64_t example) {
  if (!ledger.example_targets.defined()) return {};
  const double y = ledger.example_targets[example].item<double>();
  return is_classification(ledger) ? class_name(ledger.classes, static_cast<int64_t>(y)) : fmt::format("{:.4g}", y);
}

bool is_classification(const Ledger& ledger) { return ledger.classes.size() > 1; }

bool is_wrong(const QueryInfo& query) { return query.target >= 0 && query.predicted >= 0 && query.target != query.predicted; }

}  // namespace pathkernel
