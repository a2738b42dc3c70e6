#include <pathkernel/explain/predictions.h>

#include <pathkernel/core/error.h>

#include <ATen/TensorOperators.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace pathkernel {
namespace {

/// The queries [begin, end) are one input's logits, class 0 first.
Prediction predict(const Ledger& ledger, const double* network, const double* sum, int64_t begin, int64_t end) {
  const QueryInfo& info = ledger.queries[begin];
  Prediction p{.input = info.input, .target = info.target};
  p.by_network = std::max_element(network + begin, network + end) - (network + begin);
  p.by_sum = std::max_element(sum + begin, sum + end) - (sum + begin);
  p.query = begin + p.by_network;
  p.sum = sum[p.query];
  for (int64_t q = begin; q < end; ++q) p.largest_difference = std::max(p.largest_difference, std::abs(network[q] - sum[q]));
  return p;
}

}  // namespace

std::string PredictionCheck::brief() const {
  return fmt::format("same prediction in {} of {} inputs; largest difference of a logit {:.1e} (logits up to {:.0f})", same, inputs.size(),
                     largest_difference, largest_logit);
}

PredictionCheck check_predictions(const Ledger& l) {
  if (l.settings.measure != "logits") {
    throw InvalidInput(fmt::format("predictions: this ledger measures {}, and a prediction needs all logits; run explain with measure logits", l.settings.measure));
  }
  if (std::any_of(l.queries.begin(), l.queries.end(), [](const QueryInfo& q) { return q.is_set(); }))
    throw InvalidInput("predictions: this ledger asks about sets of inputs, and a prediction is of one; run explain without aggregate");
  const Tensor network = l.final.contiguous();
  const Tensor sum = (l.initial + l.change()).contiguous();
  PredictionCheck check;
  check.largest_logit = l.query_count() > 0 ? network.abs().max().item<double>() : 0;
  for (int64_t begin = 0, end; begin < l.query_count(); begin = end) {
    end = begin + 1;
    while (end < l.query_count() && l.queries[end].input == l.queries[begin].input) ++end;
    check.inputs.push_back(predict(l, network.const_data_ptr<double>(), sum.const_data_ptr<double>(), begin, end));
    const Prediction& p = check.inputs.back();
    check.same += p.by_network == p.by_sum;
    check.largest_difference = std::max(check.largest_difference, p.largest_difference);
  }
  return check;
}

}  // namespace pathkernel
