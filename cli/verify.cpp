#include "checks.h"
#include "commands.h"
#include "opened_run.h"
#include "terminal.h"

#include <pathkernel/core/error.h>
#include <pathkernel/record/replay.h>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <memory>

namespace pathkernel::cli {
namespace {

struct Options {
  std::string folder, data;
  int64_t threads = 0;
  bool json = false;
};

std::string environment_of(const Verification& v) {
  return v.environment_difference.empty() ? "in the recorded environment"
                                          : fmt::format("in another environment ({})", v.environment_difference);
}

void verify_run(const Options& o) {
  const OpenedRun run = open_run(o.folder, o.data, o.threads);
  const int64_t steps = run.recording.steps();
  const Verification v = verify(run.recording, *run.model, run.data.train, progress_bar());
  const bool exact = v.first_difference < 0;
  if (o.json)
    fmt::print("{}\n", nlohmann::json{{"recording", o.folder},
                                      {"steps", steps},
                                      {"repeated", v.steps},
                                      {"exact", exact},
                                      {"first_difference", v.first_difference},
                                      {"environment_difference", v.environment_difference}}
                           .dump(2));
  if (!exact)
    throw ReplayMismatch(fmt::format("{}: step {} of {} gave other weights than were recorded, {}.\n{}", o.folder, v.first_difference, steps,
                                     environment_of(v),
                                     v.environment_difference.empty()
                                         ? "The log was changed since, or the model computes differently each time."
                                         : "Replay gives the same bits only where these agree."));
  if (o.json) return;
  const bool whole = run.recording.status() == RunStatus::complete;
  fmt::print("{}: {} steps repeated {}; every hash agrees{}\n", o.folder, v.steps, environment_of(v),
             whole ? "" : fmt::format(" (the run was not finished: {})", run.recording.progress()));
}

}  // namespace

void add_verify(CLI::App& app) {
  auto o = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("verify", "Repeat a recorded run and compare the weights after every step, bit for bit");
  command->add_option("recording", o->folder, "Folder that `pathkernel train` wrote")->required();
  command->add_option("--data", o->data, "Where the data are now, if they have moved");
  command->add_option("--threads", o->threads, "Threads to compute with (default: as many as recorded)")->check(thread_count);
  command->add_flag("--json", o->json, "Print the result as JSON");
  command->footer("Example:\n  pathkernel verify runs/lenet\nExit code 4 when a step differs.");
  command->callback([o] { verify_run(*o); });
}

}  // namespace pathkernel::cli
