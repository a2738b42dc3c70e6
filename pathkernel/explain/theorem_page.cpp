#include <pathkernel/explain/pages.h>

#include <pathkernel/core/error.h>
#include <pathkernel/explain/answers.h>
#include <pathkernel/explain/html.h>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <ATen/TensorOperators.h>

#include <vector>

namespace pathkernel {
namespace {

using json = nlohmann::json;

constexpr int64_t most_examples = 64;  ///< more curves than that say nothing

/// What keeps this ledger from being drawn over one x; "" when nothing does.
std::string obstacle(const Ledger& l) {
  if (is_classification(l)) return "it is of a classification";
  if (!l.query_inputs.defined() || l.query_inputs.size(1) != 1) return "its queries do not have one input number each (tensor query_inputs [Q, 1])";
  if (!l.example_inputs.defined() || l.example_inputs.size(1) != 1) return "its examples do not have one input number each (tensor example_inputs [N, 1])";
  if (!l.example_targets.defined()) return "it does not hold the examples' targets (tensor example_targets)";
  if (!l.path_kernel.defined()) return "it does not hold the path kernel (tensor path_kernel)";
  if (l.query_count() < 3) return fmt::format("it has {} queries; curves need a grid of x", l.query_count());
  if (l.example_count() > most_examples) return fmt::format("it has {} training examples; at most {} curves can be told apart", l.example_count(), most_examples);
  return {};
}

json list(const Tensor& t) {
  const Tensor c = t.to(at::kDouble).contiguous();
  return std::vector<double>(c.const_data_ptr<double>(), c.const_data_ptr<double>() + c.numel());
}

}  // namespace

std::string theorem_page(const Ledger& l, const TheoremOptions& options) {
  if (const std::string why = obstacle(l); !why.empty())
    throw InvalidInput(fmt::format("theorem: this ledger cannot be drawn as curves over x: {}. The picture needs a regression with one input "
                                   "and one output, explained on a grid of x.", why));
  const Tensor order = l.query_inputs.select(1, 0).argsort();
  const auto sorted = [&order](const Tensor& t) { return t.index_select(t.dim() - 1, order); };
  const Tensor x = sorted(l.query_inputs.select(1, 0));
  const double low = x[0].item<double>(), high = x[-1].item<double>();
  if (options.at_given && (options.at < low || options.at > high))
    throw InvalidInput(fmt::format("theorem: x = {} is outside the grid of this ledger, {} to {}", options.at, low, high));

  json examples = json::array();
  const Tensor c = sorted(l.contributions), K = sorted(l.path_kernel);
  const Tensor by_position = l.example_inputs.select(1, 0).argsort();
  for (int64_t k = 0; k < l.example_count(); ++k) {
    const int64_t i = by_position[k].item<int64_t>();
    examples.push_back({{"number", i}, {"x", l.example_inputs[i][0].item<double>()}, {"y", l.example_targets[i].item<double>()}, {"c", list(c[i])}, {"K", list(K[i])}});
  }
  const json page = {{"title", options.title},
                     {"measurement", l.queries[0].measurement},
                     {"steps", l.settings.last_step - l.settings.first_step},
                     {"x", list(x)},
                     {"initial", list(sorted(l.initial))},
                     {"final", list(sorted(l.final))},
                     {"decay", list(sorted(l.decay + l.regulariser + l.in_flight + l.buffers + l.jumps))},
                     {"rounding", list(sorted(l.rounding + l.residual))},
                     {"examples", examples},
                     {"at", options.at_given ? options.at : (low + high) / 2},
                     {"certificate", l.settings.summary_of(l.certificate)}};
  return html_document(options.title, page.dump(-1, ' ', false, json::error_handler_t::replace), theorem_program);
}

}  // namespace pathkernel
