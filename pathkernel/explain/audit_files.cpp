#include <pathkernel/explain/audit_files.h>

#include <pathkernel/explain/answers.h>
#include <pathkernel/explain/html.h>
#include <pathkernel/explain/looks.h>

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

std::string suspects_csv(const Audit& audit, const AuditMethod& by, const Dataset& data, const LabelFlips& flips, int64_t count) {
  std::string text = "rank,example,label,predicted";
  for (const AuditMethod& m : audit.methods) text += "," + m.name;
  text += audit.by_class.defined() ? ",most_harmed_class,its_loss" : "";
  text += flips.empty() ? "\n" : ",flipped_from\n";
  const auto quoted = [](const std::string& name) {
    if (name.find_first_of(",\"\n") == std::string::npos) return name;
    std::string doubled;
    for (const char c : name) doubled += c == '"' ? "\"\"" : std::string(1, c);
    return fmt::format("\"{}\"", doubled);
  };
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
