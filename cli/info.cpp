#include "commands.h"
#include "opened_run.h"

#include <pathkernel/core/bytes.h>
#include <pathkernel/core/hash.h>
#include <pathkernel/data/relabel.h>
#include <pathkernel/record/format.h>
#include <pathkernel/record/recording.h>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <memory>

namespace pathkernel::cli {
namespace {

struct Options {
  std::string folder;
  bool json = false;
};

std::string status_of(const Recording& r) {
  switch (r.status()) {
    case RunStatus::running: return "running";
    case RunStatus::complete: return "complete";
    case RunStatus::diverged: return "diverged";
  }
  return "";
}

std::string status_for_people(const Recording& r) {
  switch (r.status()) {
    case RunStatus::running: return fmt::format("still running, or interrupted, after {} (`pathkernel resume` goes on)", r.progress());
    case RunStatus::complete: return fmt::format("complete, {} steps", r.steps());
    case RunStatus::diverged: return fmt::format("diverged after {}", r.progress());
  }
  return "";
}

/// "cross-entropy (mean), l2:0.001"
std::string loss_for_people(const Manifest& m) {
  return fmt::format("{} ({}){}", m.objective, m.reduction, m.regulariser.empty() ? "" : ", " + m.regulariser);
}

/// "3,5,9-12", cut where it gets long.
std::string some_of(const std::vector<int64_t>& examples) {
  constexpr size_t listed = 20;
  if (examples.size() <= listed) return brief_list(examples);
  return brief_list({examples.begin(), examples.begin() + listed}) + " …";
}

/// "of runs/lenet, without 20 examples (3,5,9-12 …), with 1 label changed"
std::string changes_for_people(const Manifest& m) {
  std::string text = "of " + m.retrained_from;
  if (const size_t n = m.dropped.size(); n > 0)
    text += fmt::format(", without {} example{} ({}){}", n, n == 1 ? "" : "s", some_of(m.dropped), m.renormalise ? ", the others' weights renormalised" : "");
  if (const size_t n = m.data.relabelled.size(); n > 0) text += fmt::format(", with {} label{} changed", n, n == 1 ? "" : "s");
  return text;
}

std::string for_people(const Recording& r) {
  const Manifest& m = r.manifest();
  const Environment& e = m.environment;
  const auto checkpoints = r.checkpoint_steps();
  std::string text;
  const auto line = [&](const char* what, const std::string& value) { text += fmt::format("{:<12} {}\n", what, value); };
  line("recording", r.folder());
  line("status", status_for_people(r));
  if (!m.retrained_from.empty()) line("retrained", changes_for_people(m));
  line("model", m.model.empty() ? "a module of another program" : m.model);
  line("data", fmt::format("{}{}, {} training examples, fingerprint {}", m.data.location,
                           m.data.label_column.empty() ? "" : fmt::format(" (label {})", m.data.label_column), m.examples, hex(m.data_fingerprint)));
  line("loss", r.steps() > 0 ? fmt::format("{}, {:.4g} at the last step", loss_for_people(m), r.step(r.steps() - 1).loss) : loss_for_people(m));
  line("optimizer", describe(m.optimizer));
  if (m.batch == 0) line("batches", fmt::format("chosen as the run went, seed {}, {}", m.seed, m.dtype));
  else line("batches", fmt::format("{} examples each, {:g} epochs, seed {}, {}", m.batch, m.epochs, m.seed, m.dtype));
  line("checkpoints", fmt::format("{}, every {} steps", checkpoints.size(), m.checkpoint_every));
  line("on disk", print_bytes(size_on_disk(r.folder())));
  line("recorded by", fmt::format("pathkernel {}, torch {}, {} threads, {} ({}), {}", e.pathkernel, e.torch, e.threads, e.cpu_model, e.cpu_capability, e.system));
  const std::string difference = Environment::here().difference(e);
  if (!difference.empty()) line("here", difference);
  return text;
}

nlohmann::json for_scripts(const Recording& r) {
  const Manifest& m = r.manifest();
  const nlohmann::json manifest = format::to_json(m);
  const Environment& e = m.environment;
  nlohmann::json json = {
      {"recording", r.folder()},
      {"status", status_of(r)},
      {"steps", r.steps()},
      {"planned_steps", m.steps},
      {"model", m.model},
      {"objective", m.objective},
      {"reduction", m.reduction},
      {"regulariser", m.regulariser},
      {"dtype", m.dtype},
      {"optimizer", manifest["optimizer"]},
      {"data", manifest["data"]},
      {"data_fingerprint", hex(m.data_fingerprint)},
      {"examples", m.examples},
      {"batch", m.batch},
      {"epochs", m.epochs},
      {"seed", m.seed},
      {"dropped", m.dropped},
      {"renormalise", m.renormalise},
      {"relabelled", manifest["relabelled"]},
      {"retrained_from", m.retrained_from},
      {"standardise", m.data.standardise},
      {"text", manifest["text"]},
      {"checkpoint_every", m.checkpoint_every},
      {"checkpoints", r.checkpoint_steps()},
      {"initial_hash", hex(r.initial_hash())},
      {"bytes", size_on_disk(r.folder())},
      {"environment",
       {{"pathkernel", e.pathkernel}, {"torch", e.torch}, {"cpu_capability", e.cpu_capability}, {"cpu_model", e.cpu_model}, {"blas", e.blas},
        {"system", e.system}, {"threads", e.threads}}}};
  if (r.steps() > 0) {
    const StepRecord last = r.step(r.steps() - 1);
    json["last_loss"] = last.loss;
    json["final_hash"] = hex(last.hash);
  }
  return json;
}

}  // namespace

void add_info(CLI::App& app) {
  auto o = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("info", "Say what a recording holds");
  command->add_option("recording", o->folder, "Folder that `pathkernel train` wrote")->required();
  command->add_flag("--json", o->json, "Print JSON");
  command->footer("Example:\n  pathkernel info runs/lenet");
  command->callback([o] {
    const Recording recording = Recording::open(o->folder);
    fmt::print("{}", o->json ? for_scripts(recording).dump(2) + "\n" : for_people(recording));
  });
}

}  // namespace pathkernel::cli
