#include "commands.h"
#include "opened_run.h"
#include "stop_signals.h"
#include "terminal.h"
#include "trained.h"

#include <pathkernel/record/record_run.h>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <memory>

namespace pathkernel::cli {
namespace {

struct Options {
  std::string folder, data;
  bool json = false;
};

void say_complete(const Options& o, int64_t steps) {
  if (o.json) fmt::print("{}\n", nlohmann::json{{"recording", o.folder}, {"steps", steps}, {"first_step", steps}}.dump(2));
  else fmt::print("{} is complete already: {} steps\n", o.folder, steps);
}

void resume(const Options& o) {
  if (const Recording recording = Recording::open(o.folder); recording.status() == RunStatus::complete) return say_complete(o, recording.steps());
  const OpenedRun run = open_run(o.folder, o.data);
  const StopSignals signals;
  const RunOutcome outcome = resume_run(o.folder, *run.model, run.data.train, progress_bar(), signals.request());
  report_training(o.folder, run.recording.manifest(), outcome, *run.model, run.data, o.json);
}

}  // namespace

void add_resume(CLI::App& app) {
  auto o = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("resume", "Go on with a training run that was interrupted");
  command->add_option("recording", o->folder, "Folder that `pathkernel train` wrote")->required();
  command->add_option("--data", o->data, "Where the data are now, if they have moved");
  command->add_flag("--json", o->json, "Print the result as JSON");
  command->footer("Example:\n  pathkernel resume runs/lenet\n"
                  "The weights, and the recording, are those of a run that was never interrupted, bit for bit.");
  command->callback([o] { resume(*o); });
}

}  // namespace pathkernel::cli
