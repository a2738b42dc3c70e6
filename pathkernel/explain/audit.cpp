#include <pathkernel/explain/audit.h>

#include <pathkernel/core/error.h>
#include <pathkernel/model/dtype.h>
#include <pathkernel/sweep/query_sets.h>
#include <pathkernel/sweep/sweep.h>
#include <pathkernel/sweep/tracin.h>

#include <ATen/TensorOperators.h>
#include <ATen/ops/argsort.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/searchsorted.h>
#include <ATen/ops/sort.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <fmt/format.h>

#include <algorithm>

namespace pathkernel {
namespace {

/// All contributions of a ledger that keeps the N largest, in the examples' order. [N, Q]
Tensor contributions_of(const Ledger& ledger) {
  Tensor all = at::zeros_like(ledger.kept);
  return all.scatter_(0, ledger.kept_examples, ledger.kept);
}

/// [N, C] what each example did along the whole path to the loss of each class of the queries.
Tensor pushes_along_the_path(const Recording& recording, const Learner& learner, const Dataset& data, const Queries& by_class, const AuditOptions& o, const Progress& progress) {
  SweepOptions options;
  options.measure = "loss";
  options.precision = parse_dtype(recording.manifest().dtype);
  options.stride = o.stride;
  options.compare_strides = false;
  options.sampled_steps = 0;
  options.memory = o.memory;
  options.keep = data.size();  // all of them, without draws
  return contributions_of(sweep(recording, learner, data, by_class, options, progress));
}

}  // namespace

Audit make_audit(const Recording& recording, const Learner& learner, const Dataset& data, Queries queries, const std::string& name, const AuditOptions& o, const Progress& progress) {
  if (!data.is_classification())
    throw InvalidInput("audit: looks for wrong class labels, and this run predicts numbers; ask for the mean loss of the queries to see what pushed it up (explain)");
  const auto classes = static_cast<int64_t>(data.class_names.size());
  if (!queries.targets.defined() || queries.targets.dim() != 1 || at::isFloatingType(queries.targets.scalar_type()))
    throw InvalidInput("audit: the queries need one class label each: their loss is what suspects push up");
  if (queries.input_count() == 0) throw InvalidInput("audit: no queries were given");
  if (const int64_t least = queries.targets.min().item<int64_t>(), most = queries.targets.max().item<int64_t>(); least < 0 || most >= classes)
    throw InvalidInput(fmt::format("audit: the queries' labels go from {} to {}, but there are {} classes (0 to {})", least, most, classes, classes - 1));
  if (recording.status() != RunStatus::complete)
    throw InvalidInput(fmt::format("audit: {} is not complete after {} steps, and the trained network is part of what is asked; resume it first", recording.folder(), recording.steps()));
  queries.sets = sets_by_class(name, queries, data.class_names);
  Audit audit;
  audit.queries = name;
  Tensor share = at::zeros({queries.asked()}, at::kDouble);  // of each class in the queries: the mean loss is Σ share · class's mean
  for (int64_t s = 0; s < queries.asked(); ++s) {
    const QuerySet& set = queries.sets[static_cast<size_t>(s)];
    share[s] = static_cast<double>(set.size()) / static_cast<double>(queries.input_count());
    audit.classes.push_back(data.class_names[static_cast<size_t>(queries.targets[set.members[0].item<int64_t>()].item<int64_t>())]);
  }
  audit.by_class = pushes_along_the_path(recording, learner, data, queries, o, progress);
  const TracIn scores = tracin(recording, learner, data, queries, {.measure = "loss", .checkpoints = o.checkpoints, .fewer = true, .memory = o.memory}, progress);
  audit.predicted = scores.predicted;
  audit.methods = {
      {"path", "how far it pushed up the loss of the queries, along the whole path", at::matmul(audit.by_class, share)},
      {"path_worst_class", "the same for the one class whose loss it pushed up most", std::get<0>(audit.by_class.max(1))},
      {"final_loss", "its own loss, by the trained network", scores.losses[-1].clone()},
      {"mean_loss", fmt::format("its own loss, mean over {} checkpoints", scores.steps.size()), scores.losses.mean(0)},
      {"tracin", fmt::format("TracIn over {} checkpoints, on the loss of the queries", scores.steps.size()), at::matmul(scores.ledger.contributions, share)},
      {"tracin_self", "TracIn's self-influence: its own gradient's squared size", scores.self_influence}};
  return audit;
}

std::string best_in_words(const std::vector<Detection>& detections) {
  if (detections.empty()) return {};
  const auto best = std::max_element(detections.begin(), detections.end(), [](const Detection& a, const Detection& b) { return a.auc < b.auc; });
  std::string text = fmt::format("Best at telling planted errors from right labels: {} (AUC {:.4f}).", best->method, best->auc);
  if (best->precision.empty()) return text;
  const auto first = std::max_element(detections.begin(), detections.end(), [](const Detection& a, const Detection& b) { return a.precision.back() < b.precision.back(); });
  return text + fmt::format(" Most errors among as many first ranks as errors were planted: {} ({:.0f} %).", first->method, 100 * first->precision.back());
}

const AuditMethod& Audit::method(const std::string& name) const {
  std::string known;
  for (const AuditMethod& m : methods) {
    if (m.name == name) return m;
    known += (known.empty() ? "" : ", ") + m.name;
  }
  throw InvalidInput(fmt::format("audit: there is no method '{}'; one of {}", name, known));
}

Detection detection(const AuditMethod& method, const Tensor& errors, const std::vector<int64_t>& k) {
  const Tensor wrong = method.scores.masked_select(errors), right = std::get<0>(at::sort(method.scores.masked_select(errors.logical_not())));
  Detection d{method.name, 0, {}};
  if (wrong.numel() > 0 && right.numel() > 0) {
    const Tensor below = at::searchsorted(right, wrong, false, /*right=*/false), not_above = at::searchsorted(right, wrong, false, /*right=*/true);
    d.auc = (below + not_above).to(at::kDouble).sum().item<double>() / (2 * double(wrong.numel()) * double(right.numel()));
  }
  const Tensor order = ranked(method);
  for (const int64_t first : k) d.precision.push_back(errors.index_select(0, order.narrow(0, 0, first)).sum().item<double>() / double(first));
  return d;
}

Tensor ranked(const AuditMethod& method) { return at::argsort(method.scores, /*stable=*/true, 0, /*descending=*/true); }

}  // namespace pathkernel
