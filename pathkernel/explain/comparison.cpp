#include <pathkernel/explain/comparison.h>

#include <pathkernel/core/error.h>
#include <pathkernel/core/hash.h>
#include <pathkernel/model/own_weights.h>
#include <pathkernel/sweep/evaluation.h>
#include <pathkernel/sweep/measurement.h>
#include <pathkernel/train/objective.h>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <map>
#include <numeric>

namespace pathkernel {
namespace {

constexpr int64_t inputs_at_once = 500;

/// Labels that take the place of the source's own: the last change of an example counts.
std::map<int64_t, std::string> labels(const Manifest& m) {
  std::map<int64_t, std::string> labels;
  for (const Relabelling& change : m.data.relabelled) labels[change.example] = change.label;
  return labels;
}

std::vector<int64_t> newly_dropped(const Manifest& run, const Manifest& other) {
  std::vector<int64_t> examples;
  std::set_difference(other.dropped.begin(), other.dropped.end(), run.dropped.begin(), run.dropped.end(), std::back_inserter(examples));
  return examples;
}

std::vector<int64_t> newly_relabelled(const Manifest& run, const Manifest& other) {
  const auto before = labels(run), after = labels(other);
  std::vector<int64_t> examples;
  for (const auto& [example, label] : after) {
    if (std::binary_search(other.dropped.begin(), other.dropped.end(), example)) continue;  // its label is of no matter
    if (const auto was = before.find(example); was == before.end() || was->second != label) examples.push_back(example);
  }
  return examples;
}

Tensors on(at::Device device, Tensors tensors) {
  for (Tensor& t : tensors) t = t.to(device);
  return tensors;
}

AskedNetwork final_network(const Recording& recording, bool average, at::ScalarType precision, at::Device device) {
  const Checkpoint end = recording.checkpoint(recording.steps());
  if (average && end.average.empty())
    throw InvalidInput(fmt::format("compare: {} kept no average of its weights, but the ledger asks about it; make one with network weights", recording.folder()));
  return {on(device, in(precision, values(average ? end.average : end.parameters))), on(device, in(precision, values(end.buffers)))};
}

/// The two networks' measurements [n, K] and the other's classes [n] of all queries.
struct Measured {
  Tensor before, after, predicted;
};

Measured measure(const Recording& run, const Recording& other, Model& model, Measurement& measurement, bool classes, const Queries& queries, const LedgerSettings& settings) {
  const at::NoGradGuard no_grad;
  const OwnWeights own(model);
  const at::ScalarType precision = settings.precision == "double" ? at::kDouble : at::kFloat;
  const bool average = settings.network == "average";
  const at::Device device = model.parameters().front().tensor.device();
  const AskedNetwork first = final_network(run, average, precision, device), second = final_network(other, average, precision, device);
  Tensors before, after, predicted;
  for (int64_t begin = 0, n = queries.inputs.front().size(0); begin < n; begin += inputs_at_once) {
    const int64_t count = std::min(inputs_at_once, n - begin);
    const Tensors inputs = on(device, in(precision, rows(queries.inputs, begin, count)));
    const Tensor targets = queries.targets.defined() ? in(precision, {queries.targets.narrow(0, begin, count)}).front().to(device) : Tensor();
    const Tensors outputs = outputs_of(model, first, inputs);
    measurement.about(inputs);
    measurement.prepare(outputs, targets);  // what is asked is fixed by the run's own network
    before.push_back(measurement.values(outputs).to(at::kCPU, at::kDouble));
    const Tensors others = outputs_of(model, second, inputs);
    after.push_back(measurement.values(others).to(at::kCPU, at::kDouble));
    if (classes && others[0].numel() > count) predicted.push_back(others[0].flatten(1).argmax(1).cpu());
  }
  return {at::cat(before), at::cat(after), predicted.empty() ? Tensor() : at::cat(predicted)};
}

/// Σ c_i of these examples, ascending, to one query.
double contributed(const Ledger& ledger, int64_t query, const std::vector<int64_t>& examples) {
  if (examples.empty()) return 0;
  const Shares shares = ledger.shares(query);
  const Tensor whose = shares.examples.contiguous(), values = shares.values.contiguous();
  double sum = 0;
  std::vector<bool> found(examples.size());
  for (int64_t k = 0; k < whose.numel(); ++k) {
    const int64_t example = whose.const_data_ptr<int64_t>()[k];
    const auto place = std::lower_bound(examples.begin(), examples.end(), example);
    if (place == examples.end() || *place != example) continue;
    found[static_cast<size_t>(place - examples.begin())] = true;
    sum += values.const_data_ptr<double>()[k];
  }
  if (const auto missing = std::find(found.begin(), found.end(), false); missing != found.end())
    throw InvalidInput(fmt::format("compare: the ledger keeps {}, and example {} is not among them; ask fewer queries at a time, or make the ledger without keep",
                                   shares.limits(), examples[static_cast<size_t>(missing - found.begin())]));
  return sum;
}

/// The ledger's numbers of the measurements of every input asked for.
std::vector<std::vector<int64_t>> places(const Ledger& ledger, const Queries& queries) {
  std::map<std::string, std::vector<int64_t>> by_input;
  for (int64_t q = 0; q < ledger.query_count(); ++q) by_input[ledger.queries[static_cast<size_t>(q)].input].push_back(q);
  std::vector<std::vector<int64_t>> all;
  for (const QueryInfo& info : queries.info) {
    const auto found = by_input.find(info.input);
    if (found == by_input.end()) throw InvalidInput(fmt::format("compare: the ledger has no query of {}; ask for those that it has, or let the ledger be made on the way", info.input));
    all.push_back(found->second);
  }
  return all;
}

void check_ledger(const Ledger& ledger, const Recording& run) {
  if (!ledger.settings.is_account())
    throw InvalidInput(fmt::format("compare: the ledger holds scores ({}), which do not say what examples had contributed; make one of the path (explain)", ledger.settings.method));
  if (ledger.example_count() != run.manifest().examples)
    throw InvalidInput(fmt::format("compare: the ledger is over {} training examples, but {} was trained on {}", ledger.example_count(), run.folder(), run.manifest().examples));
  if (std::any_of(ledger.queries.begin(), ledger.queries.end(), [](const QueryInfo& q) { return q.is_set(); }))
    throw InvalidInput("compare: the ledger asks about sets of inputs; make one about single inputs (explain without aggregate)");
  const LedgerSettings& s = ledger.settings;
  if (s.first_step != 0 || s.last_step != run.steps())
    throw InvalidInput(fmt::format("compare: the ledger is of the steps {} to {}, and the run has {}; make one of the whole path (from the first step to the last)", s.first_step,
                                   s.last_step - 1, run.steps()));
}

void check_final(const ComparedQuery& query, double of_ledger) {
  if (std::abs(query.before - of_ledger) <= 1e-3 * (1 + std::abs(of_ledger))) return;
  throw InvalidInput(fmt::format("compare: the ledger says that {} ends at {:.6g}, but the run's network gives {:.6g}: it is the ledger of another run", query.info.input, of_ledger,
                                 query.before));
}

void correlate(Comparison& c) {
  if (c.dropped.empty() || !c.relabelled.empty()) return;
  std::vector<double> expected, real;
  for (const ComparedQuery& q : c.queries) {
    expected.push_back(-q.dropped);
    real.push_back(q.change());
  }
  c.correlation = correlation(expected, real);
  c.rank_correlation = correlation(ranks(expected), ranks(real));
}

}  // namespace

void check_comparable(const Recording& run, const Recording& other) {
  for (const Recording* r : {&run, &other})
    if (r->status() != RunStatus::complete)
      throw InvalidInput(fmt::format("compare: {} is not complete ({} of {} steps); two final networks are compared", r->folder(), r->steps(), std::max(r->steps(), r->manifest().steps)));
  const Manifest &a = run.manifest(), &b = other.manifest();
  const auto refuse = [&](const std::string& what) {
    throw InvalidInput(fmt::format("compare: {} is no repetition of {}: {}; make one with `pathkernel retrain {} --out FOLDER`", other.folder(), run.folder(), what, run.folder()));
  };
  if (run.initial_hash() != other.initial_hash()) refuse("it began with other weights");
  if (a.examples != b.examples) refuse(fmt::format("it was trained on {} examples instead of {}", b.examples, a.examples));
  if (a.model != b.model || a.objective != b.objective || a.reduction != b.reduction || a.regulariser != b.regulariser || a.accumulate != b.accumulate || a.ema != b.ema || !(a.average == b.average) ||
      describe(a.optimizer) != describe(b.optimizer))
    refuse("model, loss or optimizer are others");
  if (hash_of(run.planned_batches()) != hash_of(other.planned_batches())) refuse("its steps drew other examples");
  for (const auto& [example, label] : labels(a))
    if (!labels(b).contains(example)) refuse(fmt::format("the first run had another label for example {} than its data, and this one has not (name the two the other way round)", example));
  if (!newly_dropped(b, a).empty()) refuse("it was trained on examples that the first run had dropped (name the two the other way round)");
}

Comparison compare(const Recording& run, const Recording& other, const Learner& learner, const Dataset& data, const Queries& queries, const Ledger& ledger,
                   const std::function<std::unique_ptr<Measurement>()>& measurement) {
  check_comparable(run, other);
  check_ledger(ledger, run);
  Comparison c;
  c.dropped = newly_dropped(run.manifest(), other.manifest());
  c.relabelled = newly_relabelled(run.manifest(), other.manifest());
  const auto where = places(ledger, queries);
  const auto objective = learner.objective ? learner.objective(run.manifest()) : make_objective(run.manifest().objective, run.manifest().reduction);
  const auto measured = measurement ? measurement() : make_measurement(ledger.settings.measure, *objective, data.class_names);
  const Measured m = measure(run, other, learner.model, *measured, data.is_classification(), queries, ledger.settings);
  for (int64_t i = 0; i < m.before.size(0); ++i) {
    const std::vector<int64_t>& numbers = where[static_cast<size_t>(i)];
    for (int64_t k = 0; k < m.before.size(1); ++k) {
      const int64_t q = numbers.at(static_cast<size_t>(k));
      ComparedQuery query;
      query.info = ledger.queries[static_cast<size_t>(q)];
      query.before = m.before[i][k].item<double>();
      query.after = m.after[i][k].item<double>();
      query.dropped = contributed(ledger, q, c.dropped);
      query.relabelled = contributed(ledger, q, c.relabelled);
      if (m.predicted.defined()) query.predicted = m.predicted[i].item<int64_t>();
      check_final(query, ledger.final[q].item<double>());
      c.queries.push_back(std::move(query));
    }
  }
  correlate(c);
  return c;
}

std::string Comparison::words() const {
  std::string text = "A contribution is what an example did on the path that training took; it is not what its removal does.\n";
  if (!dropped.empty())
    text += "Had the others gone on as they did, dropping these would have changed the measurement by −contributed. They did not: from the first step at which\n"
            "a dropped example is missing, every later step starts from other weights, and the others push otherwise, often making up for it. In a short run\n"
            "little comes in between and the two columns are close; the longer the training, the less they need to have to do with each other.\n";
  if (!relabelled.empty())
    text += "A relabelled example pushes another way at every step, and the others answer: the change is not the contribution it had with its old label, taken back.\n";
  return text;
}

std::vector<double> ranks(const std::vector<double>& x) {
  std::vector<size_t> order(x.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return x[a] < x[b]; });
  std::vector<double> ranks(x.size());
  for (size_t i = 0, end = 0; i < order.size(); i = end) {
    while (end < order.size() && x[order[end]] == x[order[i]]) ++end;
    for (size_t k = i; k < end; ++k) ranks[order[k]] = 0.5 * static_cast<double>(i + end - 1);
  }
  return ranks;
}

std::optional<double> correlation(const std::vector<double>& x, const std::vector<double>& y) {
  const auto n = static_cast<double>(x.size());
  if (x.size() < 3) return {};
  const double mean_x = std::accumulate(x.begin(), x.end(), 0.0) / n, mean_y = std::accumulate(y.begin(), y.end(), 0.0) / n;
  double xy = 0, xx = 0, yy = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    xy += (x[i] - mean_x) * (y[i] - mean_y);
    xx += (x[i] - mean_x) * (x[i] - mean_x);
    yy += (y[i] - mean_y) * (y[i] - mean_y);
  }
  if (xx == 0 || yy == 0) return {};
  return xy / std::sqrt(xx * yy);
}

}  // namespace pathkernel
