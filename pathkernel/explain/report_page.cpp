#include <pathkernel/explain/pages.h>

#include <pathkernel/core/error.h>
#include <pathkernel/explain/answers.h>
#include <pathkernel/explain/example_words.h>
#include <pathkernel/explain/html.h>
#include <pathkernel/explain/looks.h>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <ATen/TensorOperators.h>

#include <numeric>

namespace pathkernel {
namespace {

using json = nlohmann::json;

constexpr int64_t curve_points = 500;  ///< of the measurement while training: more than a screen shows

double at(const Tensor& row, int64_t query) { return row[query].item<double>(); }

json named(const std::vector<std::string>& names, const Tensor& by, int64_t query) {
  json pairs = json::array();
  for (size_t k = 0; k < names.size(); ++k) pairs.push_back({names[k], by[k][query].item<double>()});
  return pairs;
}

json curve(const Ledger& l, int64_t query) {
  const Tensor values = l.outputs.select(1, query).contiguous();
  const int64_t last = values.numel() - 1, stride = std::max<int64_t>(1, (last + curve_points - 1) / curve_points);
  json points = json::array();
  for (int64_t t = 0; t < last; t += stride) points.push_back({l.settings.first_step + t, values.const_data_ptr<double>()[t]});
  points.push_back({l.settings.first_step + last, values.const_data_ptr<double>()[last]});
  return points;
}

json pushes(const std::vector<Push>& list) {
  json all = json::array();
  for (const Push& p : list) all.push_back({{"example", p.example}, {"contribution", p.contribution}, {"share", p.share}});
  return all;
}

json bars(const Ledger& l, int64_t query) {
  static constexpr const char* kinds[] = {"initial", "examples", "term", "residual", "final"};
  json all = json::array();
  for (const WaterfallBar& b : waterfall(l, query))
    all.push_back({{"kind", kinds[static_cast<int>(b.kind)]}, {"label", b.label}, {"amount", b.amount}, {"from", b.from}, {"to", b.to}});
  return all;
}

json terms(const Ledger& l, int64_t query) {
  json all = json::array();
  for (const Ledger::Term& term : present_terms(l)) all.push_back({term.label, at(l.*term.of, query)});
  return all;
}

json query_json(const Ledger& l, int64_t q, const Top& best) {
  const QueryInfo& info = l.queries[q];
  const Certificate& c = l.certificate;
  return {{"number", q}, {"input", info.input}, {"measurement", info.measurement}, {"setSize", info.set_size},
          {"target", class_name(l.classes, info.target)}, {"predicted", class_name(l.classes, info.predicted)}, {"wrong", is_wrong(info)},
          {"initial", at(l.initial, q)}, {"final", at(l.final, q)}, {"examples", best.sum_towards + best.sum_away},
          {"terms", terms(l, q)}, {"residual", at(l.residual, q)}, {"sumTowards", best.sum_towards}, {"sumAway", best.sum_away},
          {"countTowards", best.count_towards}, {"countAway", best.count_away}, {"limits", best.limits}, {"towards", pushes(best.towards)},
          {"away", pushes(best.away)}, {"bars", bars(l, q)}, {"byClass", named(l.classes, l.by_class, q)},
          {"byLayer", named(l.layers, l.by_layer, q)}, {"outputs", curve(l, q)},
          {"residualToContributions", at(c.residual_to_contributions, q)}, {"residualToChange", at(c.residual_to_change, q)},
          {"uncertainty", c.split_uncertainty.defined() ? json(at(c.split_uncertainty, q)) : json(nullptr)}};
}

json conventions(const LedgerSettings& s) {
  json list = json::array();
  list.push_back(s.convention == "ledger"
                     ? json{"decay as a term of its own", "what weight decay took from the weights is not counted against the examples that had put it there"}
                     : json{"propagated decay", "weight decay shrinks what earlier examples did, and is counted as shrinking them"});
  list.push_back({"frozen preconditioner", "step sizes that the optimizer adapts (Adam and the like) are taken as they were, not as something examples caused"});
  list.push_back({"credit at draw time", "an example is credited for what its draw set in motion, also where momentum carries it out later"});
  return list;
}

json settings(const Ledger& l, const Source& source) {
  const LedgerSettings& s = l.settings;
  json list = json::array();
  const auto line = [&list](const char* name, const std::string& value) { list.push_back({name, value}); };
  if (source.manifest) {
    const Manifest& m = *source.manifest;
    line("Data", m.data.location);
    line("Model", m.model);
    line("Loss", fmt::format("{} ({}){}", m.objective, m.reduction, m.regulariser.empty() ? "" : ", " + m.regulariser));
    line("Optimizer", describe(m.optimizer));
    line("Batch, epochs, seed", fmt::format("{}, {}, {}", m.batch, m.epochs, m.seed));
    line("Trained in", m.dtype);
  }
  line("Recording", s.recording);
  line("Steps", fmt::format("{} to {}", s.first_step, s.last_step - 1));
  line("Training examples", std::to_string(l.example_count()));
  line("Queries", s.queries);
  line("Measurement", s.measure);
  line("Rule of division along a step", s.panels > 1 ? fmt::format("{}, {} panels", s.rule, s.panels) : s.rule);
  line("Evaluated in", s.precision);
  return list;
}

}  // namespace

std::string report_page(const Ledger& l, const Source& source, const ReportOptions& options) {
  std::vector<int64_t> chosen = options.queries;
  if (chosen.empty()) {
    chosen.resize(static_cast<size_t>(l.query_count()));
    std::iota(chosen.begin(), chosen.end(), 0);
  }
  std::optional<Looks> looks;
  if (source.data) looks.emplace(source.data->train);

  json queries = json::array(), examples = json::object();
  for (const int64_t q : chosen) {
    const Top best = top(l, q, options.top);  // checks q
    queries.push_back(query_json(l, q, best));
    if (const Dataset* part = part_of(l.queries[q], source)) looks->add(queries.back(), *part, l.queries[q].row);
    for (const auto* side : {&best.towards, &best.away}) {
      for (const Push& p : *side) {
        json& example = examples[std::to_string(p.example)];
        if (!example.is_null()) continue;
        example["target"] = target_of(l, p.example);
        if (source.data && p.example < source.data->train.size()) looks->add(example, source.data->train, p.example);
      }
    }
  }
  const json page = {
      {"title", options.title},
      {"measure", l.settings.measure},
      {"classification", is_classification(l)},
      {"examplesCount", l.example_count()},
      {"steps", l.settings.last_step - l.settings.first_step},
      {"settings", settings(l, source)},
      {"dataName", source.data ? source.data->train.name : ""},
      {"dataMissing", source.missing},
      {"image", looks ? looks->shape(source.data->train) : json(nullptr)},
      {"columns", source.data ? json(source.data->train.input_names) : json::array()},
      {"examples", examples},
      {"queries", queries},
      {"certificate",
       {{"brief", l.settings.summary_of(l.certificate)}, {"conventions", conventions(l.settings)},
        {"sampledSteps", l.certificate.sampled_steps}, {"correctionShare", l.certificate.correction_share},
        {"replayExact", l.certificate.replay_exact}, {"firstDrift", l.certificate.first_drift}}}};
  return html_document(options.title, page.dump(-1, ' ', false, json::error_handler_t::replace), report_program);
}

}  // namespace pathkernel
