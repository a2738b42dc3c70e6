#include <pathkernel/explain/audit.h>

#include <pathkernel/core/error.h>
#include <pathkernel/explain/answers.h>
#include <pathkernel/explain/html.h>
#include <pathkernel/explain/looks.h>

#include <ATen/TensorOperators.h>
#include <ATen/ops/argsort.h>
#include <ATen/ops/searchsorted.h>
#include <ATen/ops/sort.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <unordered_map>

namespace pathkernel {
namespace {

using json = nlohmann::json;

std::unordered_map<int64_t, int64_t> originals_of(const LabelFlips& flips) {
  std::unordered_map<int64_t, int64_t> originals;
  for (size_t k = 0; k < flips.examples.size(); ++k) originals.emplace(flips.examples[k], flips.originals[k]);
  return originals;
}

}  // namespace

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

std::string suspects_csv(const Audit& audit, const AuditMethod& by, const Dataset& data, const LabelFlips& flips, int64_t count) {
  std::string text = "rank,example,label,predicted";
  for (const AuditMethod& m : audit.methods) text += "," + m.name;
  text += audit.by_class.defined() ? ",most_harmed_class,its_loss" : "";
  text += flips.empty() ? "\n" : ",flipped_from\n";
  const auto quoted = [](const std::string& name) { return name.find_first_of(",\"\n") == std::string::npos ? name : fmt::format("\"{}\"", name); };
  const auto originals = originals_of(flips);
  const Tensor order = ranked(by);
  for (int64_t rank = 0; rank < std::min(count, order.size(0)); ++rank) {
    const auto i = order[rank].item<int64_t>();
    text += fmt::format("{},{},{},{}", rank + 1, i, quoted(class_name(data.class_names, data.targets[i].item<int64_t>())), quoted(class_name(data.class_names, audit.predicted[i].item<int64_t>())));
    for (const AuditMethod& m : audit.methods) text += fmt::format(",{:.6g}", m.scores[i].item<double>());
    if (audit.by_class.defined()) {
      const auto worst = audit.by_class[i].argmax().item<int64_t>();
      text += fmt::format(",{},{:.6g}", quoted(audit.classes[static_cast<size_t>(worst)]), audit.by_class[i][worst].item<double>());
    }
    if (!flips.empty()) text += "," + (originals.contains(i) ? quoted(class_name(data.class_names, originals.at(i))) : "");
    text += "\n";
  }
  return text;
}

std::string audit_page(const Audit& audit, const AuditMethod& by, const Dataset& data, const LabelFlips& flips, const std::vector<Detection>& detections,
                       const std::vector<int64_t>& k, const AuditPageOptions& options) {
  const Looks looks(data);
  const auto originals = originals_of(flips);
  const Tensor order = ranked(by);
  json suspects = json::array(), methods = json::array();
  for (int64_t rank = 0; rank < std::min(options.count, order.size(0)); ++rank) {
    const auto i = order[rank].item<int64_t>();
    json pairs = json::array();
    for (size_t c = 0; c < audit.classes.size(); ++c) pairs.push_back({audit.classes[c], audit.by_class[i][static_cast<int64_t>(c)].item<double>()});
    suspects.push_back({{"rank", rank + 1}, {"example", i}, {"label", class_name(data.class_names, data.targets[i].item<int64_t>())},
                        {"predicted", class_name(data.class_names, audit.predicted[i].item<int64_t>())}, {"score", by.scores[i].item<double>()},
                        {"flippedFrom", originals.contains(i) ? class_name(data.class_names, originals.at(i)) : ""}, {"byClass", pairs}});
    looks.add(suspects.back(), data, i);
  }
  for (const AuditMethod& m : audit.methods) {
    const auto found = std::find_if(detections.begin(), detections.end(), [&](const Detection& d) { return d.method == m.name; });
    methods.push_back({{"name", m.name}, {"meaning", m.meaning}, {"auc", found == detections.end() ? json(nullptr) : json(found->auc)},
                       {"precision", found == detections.end() ? json::array() : json(found->precision)}});
  }
  const json page = {{"title", options.title}, {"dataName", data.name}, {"queries", audit.queries}, {"by", by.name}, {"meaning", by.meaning},
                     {"planted", flips.examples.size()}, {"examples", data.size()}, {"image", looks.shape(data)}, {"columns", data.input_names},
                     {"methods", methods}, {"k", k}, {"inWords", best_in_words(detections)}, {"suspects", suspects}};
  return html_document(options.title, page.dump(-1, ' ', false, json::error_handler_t::replace), audit_program);
}

}  // namespace pathkernel
