#include "checks.h"
#include "commands.h"
#include "text_table.h"

#include <pathkernel/explain/answers.h>
#include <pathkernel/explain/ledger_file.h>
#include <pathkernel/explain/predictions.h>

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
  all.push_back({"residual", "what the bookkeeping misses", l.residual});
  return all;
}

double at(const Tensor& row, int64_t q) { return row[q].item<double>(); }

std::string class_name(const Ledger& l, int64_t k) {
  if (k < 0) return "–";
  return k < static_cast<int64_t>(l.classes.size()) ? l.classes[k] : std::to_string(k);
}

std::string heading(const Ledger& l, const std::string& folder) {
  const LedgerSettings& s = l.settings;
  const std::string kept = l.keeps_largest() ? fmt::format("keeps the largest {} of {} contributions of each query, the others as a sum\n", l.kept.size(0), l.example_count()) : "";
  return fmt::format("Ledger {}: {} queries, {} training examples, steps {} to {}\n{} by the {} rule{}, evaluated in {}\n{}recording {}\n", folder,
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
  return x == 0 ? "0" : std::abs(x) < 5e-4 ? fmt::format("{:+.0e}", x) : fmt::format("{:+.3f}", x);
}

std::string table_of_queries(const Ledger& l) {
  if (l.queries.empty()) return "no queries\n";
  const bool classes = is_classification(l);
  std::vector<std::string> columns{">no.", "input"};
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
    std::vector<std::string> cells{std::to_string(q), info.input};
    if (classes) cells.insert(cells.end(), {class_name(l, info.target), class_name(l, info.predicted) + (is_wrong(info) ? " wrong" : "")});
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

std::string side(const Ledger& l, const std::vector<Push>& pushes, const std::string& title) {
  TextTable table({">example", is_classification(l) ? "class" : "y", ">contribution", ">of Σ|c|"});
  for (const Push& p : pushes)
    table.row({std::to_string(p.example), target_of(l, p.example), signed_number(p.contribution), percent(p.share)});
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

std::string account(const Ledger& l, int64_t q, int64_t k) {
  const QueryInfo& info = l.queries[q];
  std::string text = fmt::format("Query {}: {}, {}\n", q, info.input, info.measurement);
  if (is_classification(l))
    text += fmt::format("predicted {}, {}\n", class_name(l, info.predicted),
                        info.target < 0 ? "true class unknown" : is_wrong(info) ? "wrong: it is " + class_name(l, info.target) : "right");

  TextTable lines({"", ">", ""});
  for (const Term& t : terms(l, present_terms(l))) lines.row({t.name, signed_number(at(t.values, q)), t.meaning});
  lines.row({"final", signed_number(at(l.final, q)), "the trained network: the sum of the lines above"});
  text += lines.str(2) + "\n";

  const Top best = top(l, q, k);
  if (!best.limits.empty()) text += fmt::format("This ledger keeps {}.\n\n", best.limits);
  const char* kept = best.limits.empty() ? "" : " of those kept";  // the sums are over all
  text += side(l, best.towards, fmt::format("Pushed up most ({} examples{} did, {} in all)", best.count_towards, kept, signed_number(best.sum_towards)));
  text += "\n" + side(l, best.away, fmt::format("Pushed down most ({} examples{} did, {} in all)", best.count_away, kept, signed_number(best.sum_away)));
  if (is_classification(l)) text += "\n" + sums("By class of the training examples", l.classes, l.by_class, q);
  text += "\n" + sums("By layer", l.layers, l.by_layer, q);
  text += "\nContributions say what an example did on this path, not what its removal would do.\n";
  return text;
}

json json_of(const Ledger& l, int64_t q) {
  const QueryInfo& info = l.queries[q];
  json j{{"query", q}, {"input", info.input}, {"measurement", info.measurement}, {"target", info.target}, {"predicted", info.predicted}};
  for (const Term& t : terms(l, Ledger::terms())) j[t.name] = at(t.values, q);
  j["final"] = at(l.final, q);
  j["certificate"] = certificate_of(l, q).brief(l.settings.conventions());
  return j;
}

json json_of(const std::vector<Push>& pushes, const Ledger& l) {
  json list = json::array();
  for (const Push& p : pushes) {
    list.push_back({{"example", p.example}, {"contribution", p.contribution}, {"share", p.share}});
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
  j["towards"] = json_of(best.towards, l);
  j["away"] = json_of(best.away, l);
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
    table.row({p.input, class_name(l, p.target), class_name(l, p.by_network), class_name(l, p.by_sum), fmt::format("{:+.6f}", start),
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
  if (o.predictions) return o.json ? json_predictions(l).dump(2) + "\n" : predictions(l, o.top) + l.certificate.brief(l.settings.conventions()) + "\n";
  if (o.query_given) check_query(l, o.query);
  if (o.json) {
    if (o.query_given) return json_account(l, o.query, o.top).dump(2) + "\n";
    json queries = json::array();
    for (int64_t q = 0; q < l.query_count(); ++q) queries.push_back(json_of(l, q));
    return json{{"ledger", o.ledger}, {"examples", l.example_count()}, {"queries", queries},
                {"certificate", l.certificate.brief(l.settings.conventions())}}.dump(2) + "\n";
  }
  const std::string conventions = l.settings.conventions();
  if (o.query_given) return account(l, o.query, o.top) + certificate_of(l, o.query).brief(conventions) + "\n";
  return heading(l, o.ledger) + "\n" + table_of_queries(l) + "\n" + l.certificate.brief(conventions) + "\n";
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
