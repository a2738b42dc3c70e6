#include "checks.h"
#include "commands.h"
#include "opened_run.h"
#include "stop_signals.h"
#include "terminal.h"
#include "trained.h"

#include <pathkernel/core/error.h>
#include <pathkernel/core/hash.h>
#include <pathkernel/core/parse_number.h>
#include <pathkernel/data/relabel.h>
#include <pathkernel/explain/answers.h>
#include <pathkernel/explain/ledger_file.h>
#include <pathkernel/record/retrain.h>

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <optional>

namespace pathkernel::cli {
namespace {

struct Options {
  std::string folder, out, by = "towards", ledger, data;
  std::optional<std::string> drop, top, relabel;  // given, if only as "", or not
  bool renormalise = false, json = false;
  int64_t threads = 0;
};

/// "20:query=3"
struct TopOf {
  int64_t count = 0, query = 0;
};

TopOf parse_top(const std::string& text) {
  const std::string middle = ":query=";
  const size_t colon = text.find(middle);
  std::optional<int64_t> count, query;
  if (colon != std::string::npos) {
    count = parse_number<int64_t>(text.substr(0, colon));
    query = parse_number<int64_t>(text.substr(colon + middle.size()));
  }
  if (!count || !query || *count <= 0 || *query < 0)
    throw InvalidInput(fmt::format("retrain: --top '{}' is not understood; write for example 20:query=3, the 20 examples that did most to query 3 of --ledger", text));
  return {*count, *query};
}

/// The examples of a ledger that did most to one of its queries.
std::vector<int64_t> largest_of(const Options& o, const Manifest& manifest) {
  const TopOf asked = parse_top(*o.top);
  const Ledger ledger = load_ledger(o.ledger);
  if (ledger.example_count() != manifest.examples)
    throw InvalidInput(fmt::format("retrain: the ledger {} is over {} training examples, but {} was trained on {}; name a ledger of this run", o.ledger,
                                   ledger.example_count(), o.folder, manifest.examples));
  Top best = top(ledger, asked.query, asked.count);
  std::vector<Push> chosen = o.by == "towards" ? best.towards : best.away;
  if (o.by == "size") {
    chosen.insert(chosen.end(), best.towards.begin(), best.towards.end());
    std::stable_sort(chosen.begin(), chosen.end(), [](const Push& a, const Push& b) { return a.share > b.share; });
    chosen.resize(std::min(chosen.size(), static_cast<size_t>(asked.count)));
  }
  if (static_cast<int64_t>(chosen.size()) < asked.count)
    throw InvalidInput(fmt::format("retrain: --top {}: only {} examples of the ledger pushed query {} this way; ask for fewer", *o.top, chosen.size(), asked.query));
  std::vector<int64_t> examples;
  for (const Push& push : chosen) examples.push_back(push.example);
  std::sort(examples.begin(), examples.end());
  return examples;
}

DataChanges changes_of(const Options& o, const Manifest& manifest) {
  DataChanges changes;
  changes.renormalise = o.renormalise;
  if (o.drop) changes.dropped = read_examples(*o.drop, manifest.examples);
  if (o.top) changes.dropped = largest_of(o, manifest);
  if (o.relabel) changes.relabelled = read_relabellings(*o.relabel);
  return changes;
}

std::string label_of(const Dataset& data, int64_t example) {
  if (data.is_classification()) return data.class_names[static_cast<size_t>(data.targets[example].item<int64_t>())];
  return fmt::format("{}", data.targets[example].item<double>());
}

/// "dropped 20 of 60000 examples: 3,5,9-12", "relabelled 35062: 5 → 9"
std::string for_people(const DataChanges& changes, const Dataset& before, const std::string& folder) {
  constexpr size_t listed = 20;
  std::string text;
  if (changes.dropped.empty() && changes.relabelled.empty()) text = fmt::format("repeated {} with its data as they were\n", folder);
  if (const size_t n = changes.dropped.size(); n > 0) {
    const std::vector<int64_t> some(changes.dropped.begin(), changes.dropped.begin() + static_cast<int64_t>(std::min(n, listed)));
    text += fmt::format("dropped {} of {} training examples of {}: {}{}\n", n, before.size(), folder, brief_list(some), n > listed ? " …" : "");
  }
  for (size_t k = 0; k < std::min(listed, changes.relabelled.size()); ++k) {
    const Relabelling& change = changes.relabelled[k];
    text += fmt::format("relabelled example {}: {} → {}\n", change.example, label_of(before, change.example), change.label);
  }
  if (changes.relabelled.size() > listed) text += fmt::format("… and {} others\n", changes.relabelled.size() - listed);
  return text;
}

/// Whether the repetition ended at the same bits, where that was to be expected.
std::string hashes(const Recording& original, const std::string& out, const DataChanges& changes) {
  const Recording again = Recording::open(out);
  if (original.status() != RunStatus::complete || again.status() != RunStatus::complete) return {};
  const bool same = original.step(original.steps() - 1).hash == again.step(again.steps() - 1).hash;
  if (same) return "the final weights are those of the original, bit for bit\n";
  const std::string difference = again.manifest().environment.difference(original.manifest().environment);
  if (!difference.empty()) return fmt::format("note: this is another environment than the original's ({}); a part of what is different comes from that\n", difference);
  return changes.dropped.empty() && changes.relabelled.empty() ? "note: the final weights differ from the original's, though nothing was changed; see `pathkernel verify`\n" : "";
}

void retrain(const Options& o) {
  Recorder::check_vacant(o.out);
  OpenedRun run = open_run(o.folder, o.data, o.threads);
  const DataChanges changes = changes_of(o, run.recording.manifest());
  relabelled(run.data.train, changes.relabelled);  // names what is wrong with them
  const std::string what = for_people(changes, run.data.train, o.folder);
  const StopSignals signals;
  const RunOutcome outcome = retrain_run(run.recording, o.out, *run.model, run.data.train, changes, progress_bar(), signals.request());
  if (run.recording.status() != RunStatus::complete && !o.json)
    fmt::print(stderr, "pathkernel: {} was not finished ({} of {} steps); this run went to the end that was planned, so that the two cannot be compared\n", o.folder, run.recording.steps(),
               run.recording.manifest().steps);
  if (!o.json) fmt::print("{}", what);
  report_training(o.out, Recording::open(o.out).manifest(), outcome, *run.model, run.data, o.json);
  if (!o.json) fmt::print("{}  pathkernel compare {} {} --queries test:0-15\n", hashes(run.recording, o.out, changes), o.folder, o.out);
}

}  // namespace

void add_retrain(CLI::App& app) {
  auto o = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("retrain", "Repeat a recorded run without some examples, or with other labels");
  command->add_option("recording", o->folder, "Folder of the run to repeat")->required();
  CLI::Option* drop = command->add_option("--drop", o->drop, "Examples whose loss gets weight 0: 3,5,9-12, a file with such numbers, or a .csv with a column example");
  CLI::Option* ledger = command->add_option("--ledger", o->ledger, "Folder that `pathkernel explain` wrote, for --top");
  CLI::Option* top = command->add_option("--top", o->top, "Drop the K examples that did most to a query of --ledger: 20:query=3")->needs(ledger)->excludes(drop);
  ledger->needs(top);
  command->add_option("--by", o->by, "What --top goes by: pushed the query's measurement up most (towards), down most (away), or either (size)")
      ->capture_default_str()->needs(top)->check(CLI::IsMember({"towards", "away", "size"}));
  command->add_option("--relabel", o->relabel, "A .csv with the columns example and label: examples that get another label");
  command->add_flag("--renormalise", o->renormalise, "The others of a batch share the weight of those dropped; else all weights stay what they were");
  command->add_option("--data", o->data, "Where the data are now, if they have moved");
  command->add_option("--threads", o->threads, "Threads to compute with (default: as many as recorded)")->check(thread_count);
  command->add_option("--out", o->out, "Folder for the new recording; must not exist, or be empty")->required();
  command->add_flag("--json", o->json, "Print the result as JSON");
  command->footer("Examples:\n"
                  "  pathkernel retrain runs/lenet --drop 3,5,9-12 --out runs/without\n"
                  "  pathkernel retrain runs/lenet --top 20:query=3 --ledger runs/lenet/explain/first16 --out runs/without20\n"
                  "Same initial weights, order of the examples and random numbers. A dropped example stays in its batch: batch norm still sees it.");
  command->callback([o] { retrain(*o); });
}

}  // namespace pathkernel::cli
