#include "asked_options.h"
#include "checks.h"
#include "commands.h"
#include "opened_run.h"
#include "terminal.h"
#include "text_table.h"

#include <pathkernel/core/bytes.h>
#include <pathkernel/core/error.h>
#include <pathkernel/data/relabel.h>
#include <pathkernel/explain/answers.h>
#include <pathkernel/explain/comparison.h>
#include <pathkernel/explain/ledger_file.h>
#include <pathkernel/sweep/sweep.h>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <memory>

namespace pathkernel::cli {
namespace {

struct Options {
  std::string run, other, queries, measure, ledger, data, memory = "4GiB";
  AskedOptions asked;
  int64_t threads = 0;
  bool json = false;
};

/// Those asked for, else those of the ledger.
std::string queries_of(const Options& o, const Ledger* ledger) {
  if (!o.queries.empty()) return o.queries;
  if (ledger && !ledger->queries.empty() && ledger->queries.front().is_set())
    throw InvalidInput(fmt::format("compare: the ledger {} asks about sets of inputs; name one about single inputs (explain without --aggregate)", o.ledger));
  if (ledger && !ledger->settings.queries.empty()) return ledger->settings.queries;
  throw InvalidInput("compare: say which inputs to ask about, --queries test:0-15, or name a --ledger that was made by `pathkernel explain`");
}

Ledger make_ledger(const Options& o, OpenedRun& run, const Queries& queries) {
  SweepOptions options;
  options.measure = o.measure.empty() ? "log-odds" : o.measure;
  o.asked.apply_to(options, run.recording);
  options.memory = parse_bytes(o.memory);
  options.sampled_steps = 0;  // only the contributions are looked at
  return sweep(run.recording, *run.model, run.data.train, queries, options, progress_bar());
}

/// "3,5,9-12", cut where it gets long.
std::string some_of(const std::vector<int64_t>& examples) {
  constexpr size_t listed = 20;
  if (examples.size() <= listed) return brief_list(examples);
  return brief_list({examples.begin(), examples.begin() + listed}) + " …";
}

std::string heading(const Options& o, const Comparison& c) {
  std::string text = fmt::format("{} is {} repeated", o.other, o.run);
  if (!c.dropped.empty()) text += fmt::format(" without {} training example{} ({})", c.dropped.size(), c.dropped.size() == 1 ? "" : "s", some_of(c.dropped));
  if (!c.relabelled.empty()) text += fmt::format("{} {} ({})", c.dropped.empty() ? " with" : ", and with", c.relabelled.size() == 1 ? "another label for one example" : fmt::format("other labels for {} examples", c.relabelled.size()), some_of(c.relabelled));
  if (c.dropped.empty() && c.relabelled.empty()) text += " with the same data";
  return text + "\n";
}

std::string table(const Comparison& c, const Dataset& data) {
  std::vector<std::string> columns{"input"};
  const bool classes = data.is_classification();
  const auto& names = data.class_names;
  if (classes) columns.insert(columns.end(), {"true", "pred.", "then"});
  columns.push_back("measurement");
  if (!c.dropped.empty()) columns.insert(columns.end(), {">dropped had contributed", ">so −contributed"});
  if (!c.relabelled.empty()) columns.push_back(">relabelled had contributed");
  columns.insert(columns.end(), {">real change", ">from", ">to"});
  TextTable table(columns);
  for (const ComparedQuery& q : c.queries) {
    std::vector<std::string> cells{q.info.input};
    if (classes) cells.insert(cells.end(), {class_cell(names, q.info.target), class_cell(names, q.info.predicted), class_cell(names, q.predicted)});
    cells.push_back(q.info.measurement);
    if (!c.dropped.empty()) cells.insert(cells.end(), {signed_number(q.dropped), signed_number(-q.dropped)});
    if (!c.relabelled.empty()) cells.push_back(signed_number(q.relabelled));
    cells.insert(cells.end(), {signed_number(q.change()), signed_number(q.before), signed_number(q.after)});
    table.row(cells);
  }
  return table.str(2);
}

std::string for_people(const Options& o, const Comparison& c, const Dataset& data) {
  std::string text = heading(o, c) + "\n" + table(c, data);
  if (c.correlation)
    text += fmt::format("\nOver these {} queries −contributed and the real change correlate by {:.2f} ({:.2f} by rank).\n", c.queries.size(), *c.correlation, *c.rank_correlation);
  if (!c.dropped.empty() || !c.relabelled.empty()) text += "\n" + c.words();
  return text;
}

nlohmann::json for_scripts(const Options& o, const Comparison& c) {
  nlohmann::json queries = nlohmann::json::array();
  for (const ComparedQuery& q : c.queries)
    queries.push_back({{"input", q.info.input}, {"measurement", q.info.measurement}, {"target", q.info.target}, {"predicted", q.info.predicted}, {"predicted_then", q.predicted},
                       {"dropped_contributed", q.dropped}, {"relabelled_contributed", q.relabelled}, {"before", q.before}, {"after", q.after}, {"change", q.change()}});
  nlohmann::json json = {{"run", o.run}, {"retrained", o.other}, {"dropped", c.dropped}, {"relabelled", c.relabelled}, {"queries", queries}};
  if (c.correlation) json["correlation"] = *c.correlation;
  if (c.rank_correlation) json["rank_correlation"] = *c.rank_correlation;
  return json;
}

void compare_runs(const Options& o) {
  OpenedRun run = open_run(o.run, o.data, o.threads);
  const Recording other = Recording::open(o.other);
  check_comparable(run.recording, other);
  Ledger ledger;
  if (!o.ledger.empty()) ledger = load_ledger(o.ledger);
  const Queries queries = select_queries(queries_of(o, o.ledger.empty() ? nullptr : &ledger), run.data);
  if (o.ledger.empty()) ledger = make_ledger(o, run, queries);
  const Comparison c = compare(run.recording, other, *run.model, run.data.train, queries, ledger);
  fmt::print("{}", o.json ? for_scripts(o, c).dump(2) + "\n" : for_people(o, c, run.data.train));
}

}  // namespace

void add_compare(CLI::App& app) {
  auto o = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("compare", "What dropped or relabelled examples had contributed, beside what retraining changed");
  command->add_option("run", o->run, "Folder of the run")->required();
  command->add_option("retrained", o->other, "Folder of its repetition by `pathkernel retrain`")->required();
  command->add_option("--queries", o->queries, "test:ROWS, train:ROWS or FILE.npy (default: those of --ledger)");
  CLI::Option* ledger = command->add_option("--ledger", o->ledger, "Folder that `pathkernel explain RUN` wrote; made on the way when not given");
  command->add_option("--measure", o->measure, "What is measured, as in `pathkernel explain` (default: log-odds)")->excludes(ledger);
  for (CLI::Option* option : o->asked.add_to(*command)) option->excludes(ledger);
  command->add_option("--memory", o->memory, "For the ledger that is made on the way")->capture_default_str()->excludes(ledger);
  command->add_option("--data", o->data, "Where the data are now, if they have moved");
  command->add_option("--threads", o->threads, "Threads to compute with (default: as many as recorded)")->check(thread_count);
  command->add_flag("--json", o->json, "Print the result as JSON");
  command->footer("Example:\n  pathkernel compare runs/lenet runs/without20 --queries test:0-15");
  command->callback([o] { compare_runs(*o); });
}

}  // namespace pathkernel::cli
