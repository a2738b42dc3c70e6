#include <pathkernel/sweep/books.h>

#include <ATen/ops/full.h>
#include <ATen/ops/sort.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include <utility>

namespace pathkernel {
namespace {

constexpr int64_t most_small_features = 16;
constexpr const char* of_the_chunk = "contributions of the chunk";

/// Inputs of a few numbers, for pictures over x; undefined for larger ones.
Tensor small_inputs(const Tensor& inputs) {
  return Books::kept_features(inputs) > 0 ? inputs.flatten(1).to(at::kDouble).contiguous() : Tensor();
}

/// What the sweep adds to, by name; the ledger's other numbers are known at its beginning, or follow at its end.
std::vector<std::pair<std::string, Tensor Ledger::*>> accounts() {
  std::vector<std::pair<std::string, Tensor Ledger::*>> all = {
      {"contributions", &Ledger::contributions}, {"draws", &Ledger::draws}, {"outputs", &Ledger::outputs}, {"by_step", &Ledger::by_step},
      {"by_layer", &Ledger::by_layer}, {"by_class", &Ledger::by_class}, {"by_layer_step", &Ledger::by_layer_step},
      {"by_class_step", &Ledger::by_class_step}, {"path_kernel", &Ledger::path_kernel}, {"statistics", &Ledger::statistics}, {"first_statistics", &Ledger::first_statistics}, {"kept", &Ledger::kept},
      {"kept_examples", &Ledger::kept_examples}, {"dropped", &Ledger::dropped}, {"dropped_size", &Ledger::dropped_size}};
  for (const Ledger::Term& term : Ledger::terms()) all.emplace_back(term.name, term.of);
  return all;
}

}  // namespace

int64_t Books::kept_features(const Tensor& inputs) {
  if (!inputs.defined() || inputs.dim() < 2) return 0;
  const int64_t features = inputs.flatten(1).size(1);
  return features <= most_small_features ? features : 0;
}

std::vector<std::string> Books::layer_names(const NamedTensors& parameters, std::vector<int64_t>* layer_of) {
  std::vector<std::string> names;
  for (const NamedTensor& p : parameters) {
    const size_t dot = p.name.rfind('.');
    const std::string layer = dot == std::string::npos ? p.name : p.name.substr(0, dot);
    const auto found = std::find(names.begin(), names.end(), layer);
    layer_of->push_back(int64_t(found - names.begin()));
    if (found == names.end()) names.push_back(layer);
  }
  return names;
}

Books::Books(Ledger& ledger, const Recording& recording, const Window& window, const NamedTensors& parameters, const Dataset& data, int64_t queries, int64_t keep,
             const SweepOptions& options)
    : ledger_(ledger), first_step_(window.from) {
  const int64_t T = window.steps(), N = data.size(), Q = queries;
  std::vector<Tensor> examples, steps;
  int64_t draws = 0;
  for (int64_t s = window.from; s < window.until; ++s) {
    first_draw_.push_back(draws);
    const Tensor indices = recording.step(s).indices;
    examples.push_back(indices);
    steps.push_back(at::zeros_like(indices).fill_(s));
    draws += indices.size(0);
  }
  std::vector<int64_t> layer_of;
  ledger.layers = layer_names(parameters, &layer_of);
  layer_of_ = at::tensor(layer_of, at::kLong);
  const bool classes = data.is_classification();
  ledger.classes = classes ? data.class_names : std::vector<std::string>{"all"};
  class_of_ = classes ? data.targets.to(at::kLong) : at::zeros({N}, at::kLong);
  const int64_t L = int64_t(ledger.layers.size()), C = int64_t(ledger.classes.size());
  const auto f64 = at::TensorOptions().dtype(at::kDouble);
  for (Tensor* t : {&ledger.initial, &ledger.final, &ledger.residual}) *t = at::zeros({Q}, f64);
  for (const Ledger::Term& term : Ledger::terms()) ledger.*term.of = at::zeros({Q}, f64);
  ledger.by_step = at::zeros({T, Q}, f64);
  ledger.by_layer = at::zeros({L, Q}, f64);
  ledger.by_class = at::zeros({C, Q}, f64);
  ledger.outputs = at::full({T + 1, Q}, std::numeric_limits<double>::quiet_NaN(), f64);  // until it is evaluated
  if (keep > 0) {
    ledger.kept = at::zeros({keep, Q}, f64);
    ledger.kept_examples = at::zeros({keep, Q}, at::kLong);
    ledger.dropped = at::zeros({Q}, f64);
    ledger.dropped_size = at::zeros({Q}, f64);
    ledger.dropped_count = at::full({Q}, N - keep, at::kLong);
  } else {
    ledger.contributions = contributions_ = at::zeros({N, Q}, f64);
    ledger.draws = at::zeros({draws, Q}, f64.dtype(at::kFloat));
    ledger.by_layer_step = at::zeros({T, L, Q}, f64.dtype(at::kFloat));
    ledger.by_class_step = at::zeros({T, C, Q}, f64.dtype(at::kFloat));
    ledger.draw_example = T > 0 ? at::cat(examples) : at::zeros({0}, at::kLong);
    ledger.draw_step = T > 0 ? at::cat(steps) : at::zeros({0}, at::kLong);
  }
  if (options.path_kernel) ledger.path_kernel = at::zeros({N, Q}, f64);
  if (options.statistics) ledger.statistics = at::zeros({N, Q}, f64), ledger.first_statistics = at::zeros({Q}, f64);
  ledger.example_inputs = small_inputs(data.inputs);
  if (data.targets.defined() && data.targets.dim() == 1) ledger.example_targets = data.targets.to(at::kDouble);
}

void Books::begin_chunk(int64_t first_column, int64_t count, const SweepState* kept) {
  if (!ledger_.keeps_largest()) return;
  contributions_ = at::zeros({class_of_.size(0), count}, at::kDouble);
  if (kept != nullptr) contributions_ = kept->at(of_the_chunk, contributions_);
  first_column_ = first_column;
}

void Books::end_chunk() {
  if (!ledger_.keeps_largest()) return;
  for (int64_t k = 0; k < contributions_.size(1); ++k) keep_largest(contributions_.select(1, k), first_column_ + k);
  contributions_ = Tensor();
}

/// Of one query; among equal sizes the example with the smaller number comes first.
void Books::keep_largest(const Tensor& contributions, int64_t column) {
  const int64_t K = ledger_.kept.size(0), others = contributions.size(0) - K;
  const Tensor order = std::get<1>(at::sort(contributions.abs(), /*stable=*/true, /*dim=*/0, /*descending=*/true));
  const Tensor sorted = contributions.index_select(0, order), rest = sorted.narrow(0, K, others);
  ledger_.kept.select(1, column).copy_(sorted.narrow(0, 0, K));
  ledger_.kept_examples.select(1, column).copy_(order.narrow(0, 0, K));
  ledger_.dropped[column] = rest.sum();
  ledger_.dropped_size[column] = rest.abs().sum();
}

void Books::step(const StepTrace& trace, const StepAccount& account, const Tensor& columns) {
  const int64_t s = trace.step - first_step_, n = columns.size(0);
  const Tensor draws = account.draws.cpu();
  const Tensor by_layer = at::zeros({int64_t(ledger_.layers.size()), n}, at::kDouble).index_add_(0, layer_of_, account.by_parameter.cpu());
  const Tensor by_class = at::zeros({int64_t(ledger_.classes.size()), n}, at::kDouble).index_add_(0, class_of_.index_select(0, trace.indices), draws);
  // The ledger's columns of these queries are neighbours: views, not copies.
  const int64_t first = columns[0].item<int64_t>(), stride = n > 1 ? columns[1].item<int64_t>() - first : 1;
  const auto own = [&](const Tensor& t) { return t.slice(-1, first, first + (n - 1) * stride + 1, stride); };
  contributions_.slice(-1, first - first_column_, first - first_column_ + (n - 1) * stride + 1, stride).index_add_(0, trace.indices, draws);
  if (!ledger_.keeps_largest()) {
    own(ledger_.draws.narrow(0, first_draw_[size_t(s)], trace.draws())).copy_(draws);
    own(ledger_.by_layer_step.select(0, s)).copy_(by_layer);
    own(ledger_.by_class_step.select(0, s)).copy_(by_class);
  }
  own(ledger_.by_layer).add_(by_layer);
  own(ledger_.by_step.select(0, s)).copy_(draws.sum(0));
  own(ledger_.by_class).add_(by_class);
  own(ledger_.decay).add_(account.decay.cpu());
  own(ledger_.regulariser).add_(account.regulariser.cpu());
  own(ledger_.rounding).add_(account.rounding.cpu());
  own(ledger_.buffers).add_(account.buffers.cpu());
  if (ledger_.path_kernel.defined()) own(ledger_.path_kernel).index_add_(0, trace.indices, account.kernel.cpu(), -1);
  if (account.statistics.defined()) own(ledger_.statistics).index_add_(0, trace.indices, account.statistics.cpu());
}

void Books::segment(const SegmentGradient& gradient, int64_t k, const Tensor& columns) {
  const auto column = [&](const Tensor& t) { return t.select(1, k).to(at::kCPU, at::kDouble); };
  if (gradient.jumps.defined()) ledger_.jumps.index_add_(0, columns, column(gradient.jumps));
  if (!gradient.defect.defined()) return;
  if (!defect_.defined()) defect_ = at::zeros_like(ledger_.initial);
  defect_.index_add_(0, columns, column(gradient.defect).abs());
}

void Books::output(int64_t s, const Tensor& values, int64_t first_input) {
  const int64_t K = values.size(1);
  ledger_.outputs.select(0, s - first_step_).narrow(0, first_input * K, values.size(0) * K).copy_(values.reshape(-1).to(at::kCPU, at::kDouble));
}

void Books::put_into(SweepState& state) const {
  for (const auto& [name, of] : accounts()) state.put("ledger/" + name, ledger_.*of);
  state.put("quadrature_defect", defect_);
  if (ledger_.keeps_largest()) state.put(of_the_chunk, contributions_);
}

void Books::take_from(const SweepState& state) {
  for (const auto& [name, of] : accounts())
    if ((ledger_.*of).defined()) ledger_.*of = state.at("ledger/" + name, ledger_.*of);
  defect_ = state.find("quadrature_defect");
  if (!ledger_.keeps_largest()) contributions_ = ledger_.contributions;
}

void Books::close() {
  ledger_.initial = ledger_.outputs.select(0, 0).clone();
  ledger_.final = ledger_.outputs.select(0, -1).clone();
  ledger_.residual = ledger_.final - ledger_.initial - ledger_.change();
}

}  // namespace pathkernel
