#include "checks.h"
#include "commands.h"
#include "text_table.h"

#include <pathkernel/core/error.h>
#include <pathkernel/explain/answers.h>
#include <pathkernel/explain/example_words.h>
#include <pathkernel/explain/ledger_file.h>
#include <pathkernel/explain/predictions.h>
#include <pathkernel/explain/source.h>
#include <pathkernel/record/recording.h>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <memory>

namespace pathkernel::cli {
namespace {

using json = nlohmann::json;

struct Options {
  std::string ledger;
  int64_t query = -1;
  bool query_given = false;
  int64_t top = 10;
  bool predictions = false, json = false;
};

struct Term {
  const char* name;
  const char* meaning;
  Tensor values;  ///< [Q]
};

/// The right-hand side of the identity, in its order.
std::vector<Term> terms(const Ledger& l, const std::vector<Ledger::Term>& beside_examples) {
  std::vector<Term> all = {{"initial", l.settings.first_step == 0 ? "the untrained network" : "the network at the window's first step", l.initial},
                           {"examples", "sum over all training examples", l.total()}};
  for (const Ledger::Term& term : beside_examples) all.push_back({term.name, term.meaning, l.*term.of});
  all.push_back({"residual", l.settings.is_account() ? "what the bookkeeping misses" : "what the scores leave of the change", l.residual});
  return all;
}

double at(const Tensor& row, int64_t q) { return row[q].item<double>(); }

std::string heading(const Ledger& l, const std::string& folder) {
  const LedgerSettings& s = l.settings;
  const std::string kept = l.keeps_largest() ? fmt::format("keeps the largest {} of {} contributions of each query, the others as a sum\n", l.kept.size(0), l.example_count()) : "";
  const std::string scores = s.is_account() ? "" : fmt::format("{}: scores, not an account; nothing is claimed to add up\n", s.method);
  return scores + fmt::format("Ledger {}: {} queries, {} training examples, steps {} to {}\n{} by the {} rule{}, evaluated in {}\n{}recording {}\n", folder,
                     l.query_count(), l.example_count(), s.first_step, s.last_step - 1, s.measure, s.rule,
                     s.panels > 1 ? fmt::format(" ({} panels)", s.panels) : "", s.precision, kept, s.recording);
}

/// What all measurements begin with, up to a space: it becomes the column's heading.
std::string common_beginning(const std::vector<QueryInfo>& queries) {
  std::string common = queries.front().measurement;
  for (const QueryInfo& q : queries) {
    size_t n = 0;
    while (n < common.size() && n < q.measurement.size() && common[n] == q.measurement[n]) ++n;
    common.resize(n);
  }
  return common.substr(0, common.rfind(' ') == std::string::npos ? 0 : common.rfind(' '));
}

/// Three decimals, for a table of many columns.
std::string short_number(double x) {
  return x == 0 ? "0" : std::abs(x) < 5e-4 ? fmt::format("{:+.0e}", x) : std::abs(x) < 1e6 ? fmt::format("{:+.3f}", x) : fmt::format("{:+.2e}", x);
}

std::string table_of_queries(const Ledger& l) {
  if (l.queries.empty()) return "no queries\n";
  const bool classes = is_classification(l) && !l.queries.front().is_set();
  std::vector<std::string> columns{">no.", l.queries.front().is_set() ? "set" : "input"};
  if (classes) columns.insert(columns.end(), {"true", "pred."});
  const std::string beginning = l.query_count() > 1 ? common_beginning(l.queries) : "";
  columns.push_back(beginning.empty() ? "measurement" : beginning);
  std::vector<Term> shown;
  std::string zeros;
  for (Term& t : terms(l, present_terms(l))) {
    const std::string name = t.name;
    const bool always = name == "initial" || name == "examples" || name == "rounding" || name == "residual";
    if (always || t.values.abs().max().item<double>() != 0) {
      columns.push_back(">" + name);
      shown.push_back(t);
    } else {
      zeros += (zeros.empty() ? "" : ", ") + name;
    }
  }
  columns.insert(columns.end() - 1, ">final");  // beside the sum; the residual comes last
  TextTable table(columns);
  for (int64_t q = 0; q < l.query_count(); ++q) {
    const QueryInfo& info = l.queries[q];
    std::vector<std::string> cells{std::to_string(q), info.is_set() ? fmt::format("{} ({} inputs)", info.input, info.set_size) : info.input};
    if (classes) cells.insert(cells.end(), {class_cell(l.classes, info.target), class_cell(l.classes, info.predicted) + (is_wrong(info) ? " wrong" : "")});
    const std::string rest = beginning.empty() ? info.measurement : info.measurement.substr(std::min(info.measurement.size(), beginning.size() + 1));
    cells.push_back(rest);
    for (const Term& t : shown) {
      if (&t == &shown.back()) cells.push_back(short_number(at(l.final, q)));
      cells.push_back(short_number(at(t.values, q)));
    }
    table.row(cells);
  }
  return table.str() + (zeros.empty() ? "" : fmt::format("zero for every query: {}\n", zeros));
}

constexpr size_t letters_in_table = 80, letters_of_query = 400;

/// Rows of tables and texts can be shown here; to load images for nothing would take longer than all else.
Source source_in_words(const Ledger& l) {
  try {
    if (is_table(Recording::open(l.settings.recording).manifest().data)) return source_of(l);
  } catch (const InvalidInput&) {
    // the recording is gone: examples are then shown by their numbers, as images are
  }
  return {};
}

std::string side(const Ledger& l, int64_t q, const std::vector<Push>& pushes, const std::string& title, const Source& source) {
  std::vector<std::string> columns{">example", is_classification(l) ? "class" : "y", ">contribution", ">of Σ|c|"};
  if (l.statistics.defined()) columns.push_back(">by statistics");
  if (source.data) columns.push_back("");
  TextTable table(columns);
  for (const Push& p : pushes) {
    std::vector<std::string> cells{std::to_string(p.example), target_of(l, p.example), signed_number(p.contribution), percent(p.share)};
    if (l.statistics.defined()) cells.push_back(signed_number(l.statistics[p.example][q].item<double>()));
    if (source.data) cells.push_back(example_in_words(source.data->train, p.example, letters_in_table));
    table.row(cells);
  }
  return title + "\n" + table.str(2);
}

/// Names with their sums, the largest first.
std::string sums(const std::string& title, const std::vector<std::string>& names, const Tensor& by, int64_t q) {
  TextTable table({"", ">contribution"});
  const Tensor column = by.select(1, q);
  const Tensor order = column.argsort(0, true);
  for (int64_t i = 0; i < order.size(0); ++i) {
    const int64_t k = order[i].item<int64_t>();
    table.row({names[k], signed_number(column[k].item<double>())});
  }
  return title + "\n" + table.str(2);
}

/// "along the path: step 0 2.31, step 234 0.41, …": the measurement at five points, ends included.
std::string along_the_path(const Ledger& l, int64_t q) {
  constexpr int64_t points = 5;
  std::string text = "along the path:";
  const Tensor values = l.outputs.select(1, q);
  const int64_t last = values.size(0) - 1;
  for (int64_t k = 0, before = -1; k < points; ++k) {
    const int64_t t = last * k / (points - 1);
    const double value = at(values, t);
    if (t == before || !std::isfinite(value)) continue;  // between the steps of a stride it is not evaluated
    text += fmt::format("{} step {} {:.4g}", before < 0 ? "" : ",", l.settings.first_step + t, value);
    before = t;
  }
  return text;
}

/// Whose the buffers' term is, where that was asked for.
std::string buffers_by_origin(const Ledger& l, int64_t q) {
  TextTable lines({"", ">", ""});
  lines.row({"examples", signed_number(l.statistics.select(1, q).sum().item<double>()), "through batch norm's running statistics"});
  lines.row({"first", signed_number(at(l.first_statistics, q)), "what is left of the statistics at the first step"});
  lines.row({"other", signed_number(at(l.other_buffers(), q)), "rounding of the statistics, and buffers set otherwise"});
  return "Of buffers\n" + lines.str(2);
}

std::string account(const Ledger& l, int64_t q, int64_t k) {
  const QueryInfo& info = l.queries[q];
  std::string text = fmt::format("Query {}: {}, {}\n", q, info.input, info.measurement);
  if (info.is_set()) text += fmt::format("a set of {} inputs; {}\n", info.set_size, along_the_path(l, q));
  else if (is_classification(l))
    text += fmt::format("predicted {}, {}\n", class_cell(l.classes, info.predicted),
                        info.target < 0 ? "true class unknown" : is_wrong(info) ? "wrong: it is " + class_cell(l.classes, info.target) : "right");

  const Source source = source_in_words(l);
  if (const Dataset* part = part_of(info, source)) text += example_in_words(*part, info.row, letters_of_query) + "\n";

  TextTable lines({"", ">", ""});
  for (const Term& t : terms(l, present_terms(l))) lines.row({t.name, signed_number(at(t.values, q)), t.meaning});
  lines.row({"final", signed_number(at(l.final, q)), "the trained network: the sum of the lines above"});
  text += lines.str(2) + "\n";
  if (l.statistics.defined()) text += buffers_by_origin(l, q) + "\n";

  const Top best = top(l, q, k);
  if (!best.limits.empty()) text += fmt::format("This ledger keeps {}.\n\n", best.limits);
  const char* kept = best.limits.empty() ? "" : " of those kept";  // the sums are over all
  text += side(l, q, best.towards, fmt::format("Pushed up most ({} examples{} did, {} in all)", best.count_towards, kept, signed_number(best.sum_towards)), source);
  text += "\n" + side(l, q, best.away, fmt::format("Pushed down most ({} examples{} did, {} in all)", best.count_away, kept, signed_number(best.sum_away)), source);
  if (is_classification(l)) text += "\n" + sums("By class of the training examples", l.classes, l.by_class, q);
  text += "\n" + sums("By layer", l.layers, l.by_layer, q);
  if (l.settings.is_account()) text += "\nContributions say what an example did on this path, not what its removal would do.";
  text += "\n";
  return text;
}

json json_of(const Ledger& l, int64_t q) {
  const QueryInfo& info = l.queries[q];
  json j{{"query", q}, {"input", info.input}, {"measurement", info.measurement}, {"target", info.target}, {"predicted", info.predicted}};
  if (info.is_set()) j["set_size"] = info.set_size;
  for (const Term& t : terms(l, Ledger::terms())) j[t.name] = at(t.values, q);
  j["final"] = at(l.final, q);
  if (l.statistics.defined())
    j["of_buffers"] = {{"examples", l.statistics.select(1, q).sum().item<double>()}, {"first", at(l.first_statistics, q)}, {"other", at(l.other_buffers(), q)}};
  j["certificate"] = l.settings.summary_of(certificate_of(l, q));
  return j;
}

json json_of(const std::vector<Push>& pushes, const Ledger& l, int64_t q) {
  json list = json::array();
  for (const Push& p : pushes) {
    list.push_back({{"example", p.example}, {"contribution", p.contribution}, {"share", p.share}});
    if (l.statistics.defined()) list.back()["statistics"] = l.statistics[p.example][q].item<double>();
    if (l.example_targets.defined()) list.back()["target"] = l.example_targets[p.example].item<double>();
  }
  return list;
}

json json_by(const std::vector<std::string>& names, const Tensor& by, int64_t q) {
  json list = json::array();
  for (size_t k = 0; k < names.size(); ++k) list.push_back({{"name", names[k]}, {"contribution", by[k][q].item<double>()}});
  return list;
}

json json_account(const Ledger& l, int64_t q, int64_t k) {
  json j = json_of(l, q);
  const Top best = top(l, q, k);
  j["towards"] = json_of(best.towards, l, q);
  j["away"] = json_of(best.away, l, q);
  j["sum_towards"] = best.sum_towards;
  j["sum_away"] = best.sum_away;
  if (l.keeps_largest()) j["kept"] = {{"largest", l.kept.size(0)}, {"of", l.example_count()}, {"others_sum", l.dropped[q].item<double>()}, {"others_size", l.dropped_size[q].item<double>()}};
  j["by_class"] = json_by(l.classes, l.by_class, q);
  j["by_layer"] = json_by(l.layers, l.by_layer, q);
  return j;
}

/// The trained network beside the sum over its training examples, input by input: the logit of the class it predicts.
std::string predictions(const Ledger& l, int64_t listed) {
  const PredictionCheck check = check_predictions(l);
  TextTable table({"input", "true", "network", "sum", ">initial", fmt::format(">+ {} examples", l.example_count()), ">+ rounding", ">= the sum", ">the network"});
  const Tensor examples = l.total();
  for (const Prediction& p : check.inputs) {
    if (listed-- <= 0) break;
    const double start = p.sum - at(examples, p.query) - at(l.rounding, p.query);
    table.row({p.input, class_cell(l.classes, p.target), class_cell(l.classes, p.by_network), class_cell(l.classes, p.by_sum), fmt::format("{:+.6f}", start),
               fmt::format("{:+.6f}", at(examples, p.query)), fmt::format("{:+.1e}", at(l.rounding, p.query)), fmt::format("{:+.6f}", p.sum),
               fmt::format("{:+.6f}", at(l.final, p.query))});
  }
  return fmt::format("Logit of the class that the network predicts, for {} inputs\n", check.inputs.size()) + table.str(2) +
         fmt::format("Trained network against untrained network + sum over {} training examples: {}.\n", l.example_count(), check.brief());
}

json json_predictions(const Ledger& l) {
  const PredictionCheck check = check_predictions(l);
  json inputs = json::array();
  for (const Prediction& p : check.inputs)
    inputs.push_back({{"input", p.input}, {"target", p.target}, {"by_network", p.by_network}, {"by_sum", p.by_sum}, {"largest_difference", p.largest_difference}});
  return {{"inputs", inputs}, {"same", check.same}, {"largest_difference", check.largest_difference}, {"largest_logit", check.largest_logit}};
}

std::string show(const Options& o) {
  const Ledger l = load_ledger(o.ledger);
  if (o.predictions) return o.json ? json_predictions(l).dump(2) + "\n" : predictions(l, o.top) + l.settings.summary_of(l.certificate) + "\n";
  if (o.query_given) check_query(l, o.query);
  if (o.json) {
    if (o.query_given) return json_account(l, o.query, o.top).dump(2) + "\n";
    json queries = json::array();
    for (int64_t q = 0; q < l.query_count(); ++q) queries.push_back(json_of(l, q));
    return json{{"ledger", o.ledger}, {"examples", l.example_count()}, {"queries", queries},
                {"certificate", l.settings.summary_of(l.certificate)}}.dump(2) + "\n";
  }
  if (o.query_given) return account(l, o.query, o.top) + l.settings.summary_of(certificate_of(l, o.query)) + "\n";
  return heading(l, o.ledger) + "\n" + table_of_queries(l) + "\n" + l.settings.summary_of(l.certificate) + "\n";
}

}  // namespace

void add_show(CLI::App& app) {
  auto o = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("show", "Print a ledger: all its queries, or the account of one");
  command->add_option("ledger", o->ledger, "Folder that `pathkernel explain` wrote")->required();
  CLI::Option* query = command->add_option("--query", o->query, "Number of a query: print its account");
  command->add_option("--top", o->top, "How many training examples to list on each side (with --predictions: how many inputs)")->capture_default_str()->check(not_negative);
  command->add_flag("--predictions", o->predictions, "Ledgers of all logits: the network's predictions against those of the sum over its training examples")->excludes(query);
  command->add_flag("--json", o->json, "Print JSON");
  command->footer("Example:\n  pathkernel show runs/lenet/explain/first16 --query 3 --top 10\n"
                  "  pathkernel show runs/lenet/explain/logits --predictions");
  command->callback([o, query] {
    o->query_given = query->count() > 0;
    fmt::print("{}", show(*o));
  });
}

}  // namespace pathkernel::cli
