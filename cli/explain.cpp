#include "asked_options.h"
#include "checks.h"
#include "commands.h"
#include "opened_run.h"
#include "output_folder.h"
#include "stop_signals.h"
#include "terminal.h"

#include <pathkernel/core/bytes.h>
#include <pathkernel/core/error.h>
#include <pathkernel/core/files.h>
#include <pathkernel/core/hash.h>
#include <pathkernel/explain/ledger_file.h>
#include <pathkernel/explain/unfinished_ledger.h>
#include <pathkernel/sweep/query_sets.h>
#include <pathkernel/sweep/sweep.h>
#include <pathkernel/sweep/tracin.h>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <chrono>
#include <filesystem>
#include <map>
#include <memory>

namespace pathkernel::cli {
namespace {

struct Options {
  std::string folder, data, queries = "test:0-15", measure = "log-odds", rule = "secant", convention = "propagate", memory = "4GiB", aggregate, method = "path", out;
  AskedOptions asked;
  int64_t panels = 1, from = 0, until = -1, stride = 1, sampled_steps = 32, threads = 0, checkpoints = 5;
  double tolerance = 0, save_every = 10;
  int64_t keep = 0;
  bool path_kernel = false, statistics = false, strict = false, plan = false, json = false;
};

SweepOptions sweep_options(const Options& o, const Recording& recording) {
  SweepOptions options;
  options.rule = GradientRule::parse(o.rule, o.panels);
  options.convention = o.convention == "ledger" ? Convention::ledger : Convention::propagate;
  o.asked.apply_to(options, recording);
  options.measure = o.measure;
  options.from = o.from;
  options.until = o.until;
  options.stride = o.stride;
  options.memory = parse_bytes(o.memory);
  options.keep = o.keep;
  options.sampled_steps = o.sampled_steps;
  options.path_kernel = o.path_kernel;
  options.statistics = o.statistics;
  options.strict = o.strict;
  if (!o.out.empty()) options.planned = [out = o.out](const SweepPlan& plan) { check_free_disk(out, plan.disk_bytes, "the ledger"); };
  return options;
}

/// Refused before the work, not after it.
/// All that the ledger's numbers depend on: what was left unfinished goes on only where this is the same.
std::map<std::string, std::string> request_of(const Options& o, const SweepOptions& s, const Recording& r, const Queries& queries) {
  const Environment e = Environment::here();
  Tensors asked = {queries.inputs};
  if (queries.targets.defined()) asked.push_back(queries.targets);
  for (const QuerySet& set : queries.sets) asked.insert(asked.end(), {set.members, set.weights});
  return {{"recording", fmt::format("{} to {}", hex(r.initial_hash()), r.steps() > 0 ? hex(r.step(r.steps() - 1).hash) : "nothing")},
          {"steps", std::to_string(r.steps())},
          {"checkpoints", std::to_string(r.checkpoint_steps().size())},
          {"data", hex(r.manifest().data_fingerprint)},
          {"queries", fmt::format("{} ({})", o.queries, hex(hash_of(asked)))},
          {"aggregate", o.aggregate},
          {"rule", s.rule.name()},
          {"panels", std::to_string(s.rule.panels)},
          {"from", std::to_string(s.from)},
          {"until", std::to_string(s.until)},
          {"stride", std::to_string(s.stride)},
          {"network", o.asked.network},
          {"convention", o.convention},
          {"precision", s.precision == at::kDouble ? "double" : "float"},
          {"measure", s.measure},
          {"memory", o.memory},
          {"keep", std::to_string(s.keep)},
          {"sampled steps", std::to_string(s.sampled_steps)},
          {"path kernel", s.path_kernel ? "yes" : "no"},
          {"statistics", s.statistics ? "yes" : "no"},
          {"pathkernel", e.pathkernel},
          {"torch", e.torch},
          {"CPU", e.cpu_model + ", " + e.cpu_capability},
          {"linear algebra", e.blas},
          {"system", e.system},
          {"threads", std::to_string(e.threads)}};
}

/// The sweep's progress, until a signal stops it.
Progress stoppable(const StopSignals& signals, const UnfinishedLedger& unfinished) {
  return [bar = progress_bar(), stop = signals.request(), &unfinished](const std::string& what, int64_t done, int64_t total) {
    if (stop() && !unfinished.holds_state()) throw Interrupted("interrupted, before anything was saved");
    if (stop()) throw Interrupted(fmt::format("interrupted; the same command goes on from what was saved last in {}", unfinished.folder()));
    if (bar) bar(what, done, total);
  };
}

double largest(const Tensor& t) { return t.defined() && t.numel() > 0 ? t.max().item<double>() : 0; }

void print_summary(const Ledger& ledger, const Options& o, double seconds) {
  const Certificate& c = ledger.certificate;
  if (o.json) {
    nlohmann::json j{{"ledger", o.out},
                     {"queries", ledger.query_count()},
                     {"examples", ledger.example_count()},
                     {"seconds", seconds},
                     {"residual_to_contributions", largest(c.residual_to_contributions)},
                     {"residual_to_change_median", c.residual_to_change.median().item<double>()},
                     {"rounding_to_change", largest(c.rounding_to_change)},
                     {"replay_exact", c.replay_exact}};
    if (c.split_uncertainty.defined()) j["split_uncertainty"] = c.split_uncertainty.median().item<double>();
    fmt::print("{}\n", j.dump(2));
    return;
  }
  fmt::print("{} quer{} explained over {} training examples in {}\n", ledger.query_count(), ledger.query_count() == 1 ? "y" : "ies", ledger.example_count(), print_duration(seconds));
  if (ledger.keeps_largest())
    fmt::print("kept the largest {} of {} contributions of each query; the others as their sum (--keep)\n", ledger.kept.size(0), ledger.example_count());
  fmt::print("certificate: {}\n", ledger.settings.summary_of(c));
  fmt::print("written to {}\n  pathkernel show {} --query 0\n  pathkernel report {} -o report.html\n", o.out, o.out, o.out);
}

void print_plan(const SweepPlan& p, bool json) {
  if (!json) {
    fmt::print("{}nothing was started; leave out --plan to start\n", p.brief());
    return;
  }
  nlohmann::json j{{"queries", p.sizes.queries}, {"inputs", p.inputs()}, {"per_input", p.per_input}, {"steps", p.sizes.steps}, {"draws", p.sizes.draws},
                   {"examples", p.sizes.examples}, {"parameters", p.parameters}, {"inputs_per_chunk", p.inputs_per_chunk}, {"chunks", p.chunks},
                   {"adjoint_bytes_of_a_query", p.adjoint_bytes}, {"tape_bytes_of_an_input", p.tape_bytes}, {"bytes_of_an_input", p.bytes_per_input()},
                   {"trace_bytes", p.trace_bytes}, {"longest_stretch", p.longest_stretch}, {"keep", p.keep}, {"ledger_bytes", p.ledger_bytes},
                   {"inputs_of_sets", p.inputs_of_sets}, {"inputs_per_piece", p.inputs_per_piece}, {"held_pieces", p.held_pieces},
                   {"disk_bytes", p.disk_bytes}, {"peak_bytes", p.peak_bytes()}, {"memory", p.memory}, {"seconds", p.seconds}, {"timed_steps", p.timed_steps}};
  if (p.free_disk >= 0) j["free_disk"] = p.free_disk;
  fmt::print("{}\n", j.dump(2));
}

/// What is asked: the inputs one by one, or sets of them.
Queries queries_of(const Options& o, OpenedRun& run) {
  Queries queries = select_queries(o.queries, run.data);
  if (o.aggregate.empty()) return queries;
  if (o.aggregate == "mean") queries.sets = mean_set(o.queries, queries);
  else if (o.aggregate == "by-class") queries.sets = sets_by_class(o.queries, queries, run.data.train.class_names);
  else if (o.aggregate != "wrong") queries.sets = sets_from_file(o.aggregate, queries);
  else {
    const Tensor wrong = wrong_inputs(run.recording, *run.model, run.data.train, queries, sweep_options(o, run.recording));
    if (wrong.size(0) == 0) throw InvalidInput(fmt::format("explain: --aggregate wrong: the network takes none of {} for another class", o.queries));
    queries.sets = {mean_of("wrong of " + o.queries, wrong)};
  }
  return queries;
}

/// What it would take; refused where it would not fit, as the run itself would be.
void plan(const Options& o, OpenedRun& run, const Queries& queries) {
  const SweepOptions options = sweep_options(o, run.recording);
  SweepPlan plan = plan_sweep(run.recording, *run.model, run.data.train, queries, options);
  if (!o.out.empty()) plan.free_disk = free_disk(o.out);
  print_plan(plan, o.json);
}

void score_by_tracin(const Options& o, OpenedRun& run, const Queries& queries) {
  const auto begin = std::chrono::steady_clock::now();
  warn_of_fewer_checkpoints(run.recording, o.checkpoints);
  const TracInOptions options{.measure = o.measure, .checkpoints = o.checkpoints, .fewer = true, .memory = parse_bytes(o.memory)};
  Ledger ledger = tracin(run.recording, *run.model, run.data.train, queries, options, progress_bar()).ledger;
  ledger.settings.queries = o.aggregate.empty() ? o.queries : fmt::format("{}, {}", o.queries, o.aggregate);
  ledger.settings.recording = std::filesystem::absolute(o.folder).lexically_normal().string();
  save(ledger, o.out);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  if (o.json) fmt::print("{}\n", nlohmann::json{{"ledger", o.out}, {"queries", ledger.query_count()}, {"examples", ledger.example_count()}, {"seconds", seconds}, {"method", ledger.settings.method}}.dump(2));
  else fmt::print("{} quer{} scored against {} training examples in {}\n{}\nwritten to {}\n  pathkernel show {} --query 0\n", ledger.query_count(), ledger.query_count() == 1 ? "y" : "ies",
                  ledger.example_count(), print_duration(seconds), ledger.settings.conventions(), o.out, o.out);
}

void explain(const Options& o) {
  if (!o.out.empty()) check_vacant("explain", o.out);
  OpenedRun run = open_run(o.folder, o.data, o.threads);
  const Queries queries = queries_of(o, run);
  if (run.recording.status() != RunStatus::complete)
    fmt::print(stderr, "pathkernel: the run is not finished: {} of {} steps are explained\n", run.recording.steps(), run.recording.manifest().steps);
  if (o.method == "tracin") return score_by_tracin(o, run, queries);
  if (o.plan) return plan(o, run, queries);
  const auto begin = std::chrono::steady_clock::now();
  SweepOptions options = sweep_options(o, run.recording);
  UnfinishedLedger unfinished(o.out, request_of(o, options, run.recording, queries), o.save_every);
  if (unfinished.kept() != nullptr) fmt::print(stderr, "pathkernel: going on with what was left in {}\n", unfinished.folder());
  options.keeper = &unfinished;
  const StopSignals signals;
  Ledger ledger = sweep(run.recording, *run.model, run.data.train, queries, options, stoppable(signals, unfinished));
  ledger.settings.queries = o.aggregate.empty() ? o.queries : fmt::format("{}, {}", o.queries, o.aggregate);
  ledger.settings.recording = std::filesystem::absolute(o.folder).lexically_normal().string();
  unfinished.publish(ledger);
  print_summary(ledger, o, std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
  const double residual = largest(ledger.certificate.residual_to_contributions);
  const bool complete_by_construction = GradientRule::parse(ledger.settings.rule, 1).complete();
  const Tensor too_much = ledger.residual.abs() / ledger.residual_of_rounding();
  if (const double times = largest(too_much); complete_by_construction && times > 1) {
    fmt::print(stderr, "pathkernel: the residual is up to {:.2g} times what rounding in {} explains, and {:.2g} of Σ|c|. Look at the run before trusting the "
               "shares (`pathkernel verify`, or --precision double).\n", times, ledger.settings.precision, residual);
  }
  if (o.tolerance > 0 && !(residual <= o.tolerance)) {
    throw ToleranceExceeded(fmt::format("explain: the residual is {:.2g} of Σ|c|, more than --tolerance {:.2g}; the ledger was written to {}", residual, o.tolerance, o.out));
  }
}

}  // namespace

void add_explain(CLI::App& app) {
  auto o = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("explain", "Write predictions of a recorded run as sums over its training examples");
  command->add_option("recording", o->folder, "Folder that `pathkernel train` wrote")->required();
  command->add_option("--queries", o->queries, "test:0-15, train:3,5,9, test:all, or FILE.npy with inputs")->capture_default_str();
  command->add_option("--aggregate", o->aggregate, "Ask about sets of the inputs, each as one query: mean (all) | by-class | wrong (what the network takes for "
                                                   "another class) | FILE with one set a line, `name: 3,5,9-12`, or with the rows of one set");
  command->add_option("--measure", o->measure, "log-odds | margin | log-prob | logit:K | logits | loss | output:K")->capture_default_str();
  command->add_option("--method", o->method, "path: the account of the whole path | tracin: scores from checkpoints alone, which do not add up to the prediction")->capture_default_str()->check(CLI::IsMember({"path", "tracin"}));
  command->add_option("--checkpoints", o->checkpoints, "With --method tracin: how many")->capture_default_str()->check(positive);
  command->add_option("--rule", o->rule, "How a step's gradient is taken: secant | gauss:Q | midpoint | left; the last three also as gauss:2,closed")->capture_default_str();
  command->add_option("--panels", o->panels, "Cut every step into so many equal parts")->capture_default_str()->check(positive);
  command->add_option("--from", o->from, "Explain the path from this step on (0: the untrained network)")->capture_default_str()->check(not_negative);
  command->add_option("--until", o->until, "… to the network before this step (default: the trained one)")->check(not_negative);
  command->add_option("--stride", o->stride, "Steps that share one gradient of the queries: faster, complete, other shares (how far is measured)")->capture_default_str()->check(positive);
  o->asked.add_to(*command);
  command->add_option("--convention", o->convention, "Weight decay as memory (propagate) or as a term of its own (ledger)")->capture_default_str()->check(CLI::IsMember({"propagate", "ledger"}));
  command->add_option("--memory", o->memory, "Queries are streamed in chunks that fit")->capture_default_str();
  command->add_option("--keep", o->keep, "Keep only the largest so many contributions of each query (default: all, or what fits beyond 1e9 numbers)")->check(positive);
  command->add_option("--sampled-steps", o->sampled_steps, "Steps on which the uncertainty of the shares is measured (0: not)")->capture_default_str()->check(not_negative);
  command->add_option("--tolerance", o->tolerance, "Fail (exit code 1) when the residual is more than this share of Σ|c|")->check(not_negative);
  command->add_flag("--path-kernel", o->path_kernel, "Also the path kernel K(x, x_i) (networks with one output)");
  command->add_flag("--statistics", o->statistics, "Also what each example did through batch norm's running statistics: its share of the term `buffers`");
  command->add_flag("--strict", o->strict, "Stop (exit code 4) where replay differs from the recording, instead of booking the drift as rounding");
  command->add_option("--data", o->data, "Where the data are now, if they have moved");
  command->add_option("--threads", o->threads, "Threads to compute with (default: as many as recorded)")->check(thread_count);
  command->add_option("--save-every", o->save_every, "Seconds between two saves of the work; a killed explain goes on from there (0: none)")->capture_default_str()->check(not_negative);
  command->add_option("--out", o->out, "Folder for the ledger (needed but for --plan)");
  command->add_flag("--plan", o->plan, "Only say what it would take: memory, chunks, disk, time");
  command->add_flag("--json", o->json, "Print the result as JSON");
  command->footer("Example:\n  pathkernel explain runs/lenet --queries test:0-15 --measure log-odds --out runs/lenet/explain/first16\n"
                  "The same command again goes on where it was stopped.");
  std::vector<CLI::Option*> of_the_path;  // what a score from checkpoints has no use for
  for (const char* name : {"--rule", "--panels", "--from", "--until", "--stride", "--network", "--convention", "--precision", "--keep", "--sampled-steps", "--tolerance",
                           "--path-kernel", "--statistics", "--strict", "--save-every", "--plan"})
    of_the_path.push_back(command->get_option(name));
  CLI::Option* checkpoints = command->get_option("--checkpoints");
  const CLI::Option* aggregate = command->get_option("--aggregate");
  command->callback([o, of_the_path, checkpoints, aggregate] {
    for (CLI::Option* option : of_the_path)
      if (o->method == "tracin" && option->count() > 0) throw CLI::ValidationError(option->get_name(), "belongs to --method path");
    if (o->method == "path" && checkpoints->count() > 0) throw CLI::ValidationError("--checkpoints", "belongs to --method tracin");
    if (o->aggregate.empty() && aggregate->count() > 0) throw CLI::ValidationError("--aggregate", "is empty; mean, by-class, wrong or a file is expected");
    if (o->out.empty() && !o->plan) throw CLI::RequiredError("--out");
    explain(*o);
  });
}

}  // namespace pathkernel::cli
