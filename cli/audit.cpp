#include "checks.h"
#include "commands.h"
#include "opened_run.h"
#include "output_folder.h"
#include "stop_signals.h"
#include "terminal.h"
#include "text_table.h"

#include <pathkernel/core/bytes.h>
#include <pathkernel/core/files.h>
#include <pathkernel/explain/audit.h>
#include <pathkernel/explain/audit_files.h>

#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
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
  check_vacant("audit", o.out);
  const OpenedRun run = open_run(o.folder, o.data, o.threads);
  const Dataset& data = run.data.train;
  const auto begin = std::chrono::steady_clock::now();
  const StopSignals signals;
  warn_of_fewer_checkpoints(run.recording, o.checkpoints);
  const Audit audit = make_audit(run.recording, *run.model, data, select_queries(o.queries, run.data), o.queries, {o.stride, o.checkpoints, parse_bytes(o.memory)}, stoppable_bar(signals, "audit"));
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
  command->add_option("--checkpoints", o->checkpoints, "For mean_loss, tracin and tracin_self; or as many as the run has")->capture_default_str()->check(positive);
  command->add_option("--count", o->count, "Rows of suspects.csv")->capture_default_str()->check(positive);
  command->add_option("--top", o->page.count, "Suspects on the page")->capture_default_str()->check(positive);
  command->add_option("--memory", o->memory, "For the work")->capture_default_str();
  command->add_option("--data", o->data, "Where the data are now, if they have moved");
  command->add_option("--threads", o->threads, "Threads to compute with (default: as many as recorded)")->check(thread_count);
  command->add_option("--out", o->out, "Folder for suspects.csv and suspects.html; must not exist, or be empty (default: RUN/audit)");
  command->add_flag("--json", o->json, "Print the result as JSON");
  command->footer("Example:\n  pathkernel train --data mnist --flip 0.01 --seed 1 --lr 0.01 --momentum 0.9 --out runs/flipped\n  pathkernel audit runs/flipped");
  command->callback([o] { audit_run(*o); });
}

}  // namespace pathkernel::cli
