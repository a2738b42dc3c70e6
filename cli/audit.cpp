#include "asked_options.h"
#include "checks.h"
#include "commands.h"
#include "opened_run.h"
#include "output_folder.h"
#include "terminal.h"
#include "text_table.h"

#include <pathkernel/core/bytes.h>
#include <pathkernel/core/error.h>
#include <pathkernel/core/files.h>
#include <pathkernel/explain/audit.h>
#include <pathkernel/sweep/query_sets.h>
#include <pathkernel/sweep/sweep.h>
#include <pathkernel/sweep/tracin.h>

#include <ATen/ops/tensor.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <chrono>
#include <filesystem>
#include <memory>

namespace pathkernel::cli {
namespace {

struct Options {
  std::string folder, data, queries = "test:all", by = "path", memory = "4GiB", out;
  int64_t stride = 16, checkpoints = 5, threads = 0, count = 1000;
  AuditPageOptions page;
  bool json = false;
};

/// All contributions of a ledger that keeps the N largest, in the examples' order. [N, Q]
Tensor contributions_of(const Ledger& ledger) {
  Tensor all = at::zeros_like(ledger.kept);
  return all.scatter_(0, ledger.kept_examples, ledger.kept);
}

/// What each example did along the whole path to the loss of each class of the queries.
void add_path(const Options& o, const OpenedRun& run, const Queries& asked, const Tensor& share, const Dataset& data, Audit& audit) {
  SweepOptions options;
  options.measure = "loss";
  AskedOptions().apply_to(options, run.recording);
  options.stride = o.stride;
  options.compare_strides = false;
  options.sampled_steps = 0;
  options.memory = parse_bytes(o.memory);
  options.keep = data.size();  // all of them, without draws
  audit.by_class = contributions_of(sweep(run.recording, *run.model, data, asked, options, progress_bar()));
  audit.methods.push_back({"path", "how far it pushed up the loss of the queries, along the whole path", at::matmul(audit.by_class, share)});
  audit.methods.push_back({"path_worst_class", "the same for the one class whose loss it pushed up most", std::get<0>(audit.by_class.max(1))});
}

/// Baselines from the same recording.
void add_baselines(const Options& o, const OpenedRun& run, const Queries& asked, const Tensor& share, const Dataset& data, Audit& audit) {
  const TracIn scores = tracin(run.recording, *run.model, data, asked, {"loss", o.checkpoints, parse_bytes(o.memory)}, progress_bar());
  audit.predicted = scores.predicted;
  audit.methods.push_back({"final_loss", "its own loss, by the trained network", scores.losses[-1].clone()});
  audit.methods.push_back({"mean_loss", fmt::format("its own loss, mean over {} checkpoints", o.checkpoints), scores.losses.mean(0)});
  audit.methods.push_back({"tracin", fmt::format("TracIn over {} checkpoints, on the loss of the queries", o.checkpoints), at::matmul(scores.ledger.contributions, share)});
  audit.methods.push_back({"tracin_self", "TracIn's self-influence: its own gradient's squared size", scores.self_influence});
}

std::vector<Detection> detections_of(const Audit& audit, const LabelFlips& flips, int64_t N, std::vector<int64_t>& k) {
  if (flips.empty()) return {};
  const auto planted = static_cast<int64_t>(flips.examples.size());
  for (const int64_t first : {planted / 4, planted / 2, planted})
    if (first > 0 && (k.empty() || first > k.back())) k.push_back(first);
  const Tensor errors = at::zeros({N}, at::kBool).index_fill_(0, at::tensor(flips.examples, at::kLong), true);
  std::vector<Detection> all;
  for (const AuditMethod& m : audit.methods) all.push_back(detection(m, errors, k));
  return all;
}

void print_summary(const Options& o, const Audit& audit, const LabelFlips& flips, const std::vector<Detection>& detections, const std::vector<int64_t>& k, double seconds) {
  if (o.json) {
    nlohmann::json methods = nlohmann::json::object();
    for (const Detection& d : detections) methods[d.method] = {{"auc", d.auc}, {"precision", d.precision}};
    fmt::print("{}\n", nlohmann::json{{"out", o.out}, {"examples", audit.predicted.size(0)}, {"planted", flips.examples.size()}, {"k", k}, {"methods", methods}, {"seconds", seconds}}.dump(2));
    return;
  }
  fmt::print("{} training examples ranked in {}\n", audit.predicted.size(0), print_duration(seconds));
  if (detections.empty()) {
    for (const AuditMethod& m : audit.methods) fmt::print("  {:<17} {}\n", m.name, m.meaning);
  } else {
    std::vector<std::string> heads{"", ">AUC"};
    for (const int64_t first : k) heads.push_back(fmt::format(">precision at {}", first));
    TextTable table(heads);
    for (const Detection& d : detections) {
      std::vector<std::string> cells{d.method, fmt::format("{:.4f}", d.auc)};
      for (const double p : d.precision) cells.push_back(fmt::format("{:.3f}", p));
      table.row(cells);
    }
    fmt::print("{} label errors were planted (train --flip):\n{}{}\n", flips.examples.size(), table.str(2), best_in_words(detections));
  }
  fmt::print("written to {0}/suspects.csv and {0}/suspects.html, ranked by {1} (--by)\n", o.out, o.by);
}

void audit_run(Options o) {
  if (o.out.empty()) o.out = (std::filesystem::path(o.folder) / "audit").string();
  check_writable("audit", o.out);
  const OpenedRun run = open_run(o.folder, o.data, o.threads);
  const Dataset& data = run.data.train;
  if (!data.is_classification()) throw InvalidInput("audit: looks for wrong class labels, and this run predicts numbers; explain --aggregate mean --measure loss shows what pushed the loss up");
  Queries asked = select_queries(o.queries, run.data);
  asked.sets = sets_by_class(o.queries, asked, data.class_names);
  Tensor share = at::zeros({asked.asked()}, at::kDouble);  // of each class in the queries: the mean loss is Σ share · class's mean
  Audit audit;
  audit.queries = o.queries;
  for (int64_t s = 0; s < asked.asked(); ++s) {
    const QuerySet& set = asked.sets[static_cast<size_t>(s)];
    share[s] = static_cast<double>(set.size()) / static_cast<double>(asked.input_count());
    audit.classes.push_back(data.class_names[static_cast<size_t>(asked.targets[set.members[0].item<int64_t>()].item<int64_t>())]);
  }
  const auto begin = std::chrono::steady_clock::now();
  add_path(o, run, asked, share, data, audit);
  add_baselines(o, run, asked, share, data, audit);
  const AuditMethod& by = audit.method(o.by);
  const LabelFlips& flips = run.recording.manifest().data.flips;
  std::vector<int64_t> k;
  const std::vector<Detection> detections = detections_of(audit, flips, data.size(), k);
  std::filesystem::create_directories(o.out);
  write_file(o.out + "/suspects.csv", suspects_csv(audit, by, data, flips, o.count));
  write_file(o.out + "/suspects.html", audit_page(audit, by, data, flips, detections, k, o.page));
  print_summary(o, audit, flips, detections, k, std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
}

}  // namespace

void add_audit(CLI::App& app) {
  auto o = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("audit", "Rank a run's training examples by how suspect their labels are");
  command->add_option("recording", o->folder, "Folder that `pathkernel train` wrote")->required();
  command->add_option("--queries", o->queries, "Whose loss is asked about: test:all, test:0-999 and the like")->capture_default_str();
  command->add_option("--by", o->by, "Which ranking is written: path | path_worst_class | final_loss | mean_loss | tracin | tracin_self")
      ->capture_default_str()
      ->check(CLI::IsMember({"path", "path_worst_class", "final_loss", "mean_loss", "tracin", "tracin_self"}));
  command->add_option("--stride", o->stride, "Steps that share one gradient of the queries; 1 is exact, and slower")->capture_default_str()->check(positive);
  command->add_option("--checkpoints", o->checkpoints, "For mean_loss, tracin and tracin_self")->capture_default_str()->check(positive);
  command->add_option("--count", o->count, "Rows of suspects.csv")->capture_default_str()->check(positive);
  command->add_option("--top", o->page.count, "Suspects on the page")->capture_default_str()->check(positive);
  command->add_option("--memory", o->memory, "For the work")->capture_default_str();
  command->add_option("--data", o->data, "Where the data are now, if they have moved");
  command->add_option("--threads", o->threads, "Threads to compute with (default: as many as recorded)")->check(thread_count);
  command->add_option("--out", o->out, "Folder for suspects.csv and suspects.html (default: RUN/audit)");
  command->add_flag("--json", o->json, "Print the result as JSON");
  command->footer("Example:\n  pathkernel train --data mnist --flip 0.01 --seed 1 --lr 0.01 --momentum 0.9 --out runs/flipped\n  pathkernel audit runs/flipped");
  command->callback([o] { audit_run(*o); });
}

}  // namespace pathkernel::cli
