#include "checks.h"
#include "commands.h"
#include "opened_run.h"
#include "output_folder.h"
#include "step_list.h"
#include "stop_signals.h"
#include "text_table.h"

#include <pathkernel/core/files.h>
#include <pathkernel/core/json.h>
#include <pathkernel/kernel/taylorised.h>
#include <pathkernel/sweep/queries.h>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <cmath>
#include <memory>

namespace pathkernel::cli {
namespace {

struct Options {
  std::string folder, probe = "test:0-99", steps, output, data;
  int64_t order = 1, count = 9, threads = 0;
  bool json = false;
};

std::string share(double x) { return std::isnan(x) ? "–" : percent(x); }

std::string table(const Taylorised& found) {
  TextTable table({">step", ">loss", ">Taylor's", ">right", ">Taylor's", ">same class", ">distance of outputs", ">of weights"});
  for (const TaylorMoment& m : found.moments)
    table.row({std::to_string(m.step), number_cell(m.loss), number_cell(m.taylor_loss), share(m.accuracy), share(m.taylor_accuracy), share(m.agreement), number_cell(m.distance),
               number_cell(m.weight_distance)});
  return table.str(2);
}

std::string in_words(const Taylorised& found) {
  if (found.diverged >= 0) return fmt::format("The polynomial left the finite numbers in step {}: the network's learning rate is too high for it.\n", found.diverged);
  const TaylorMoment& end = found.moments.back();
  return fmt::format("At the end the outputs of the {} network are off by {} of what training changed in them.\n", found.order == 1 ? "linearised" : "quadratic",
                     number_cell(100 * end.distance, "{:.0f} %"));
}

nlohmann::json json_of(const Taylorised& found, const Options& o) {
  nlohmann::json list = nlohmann::json::array();
  for (const TaylorMoment& m : found.moments)
    list.push_back({{"step", m.step}, {"loss", number_or_null(m.loss)}, {"taylor_loss", number_or_null(m.taylor_loss)}, {"accuracy", number_or_null(m.accuracy)}, {"taylor_accuracy", number_or_null(m.taylor_accuracy)},
                    {"agreement", number_or_null(m.agreement)}, {"distance", number_or_null(m.distance)}, {"weight_distance", number_or_null(m.weight_distance)}});
  return {{"run", o.folder}, {"probe", o.probe}, {"order", found.order}, {"diverged", found.diverged}, {"moments", list}};
}

void taylorise(const Options& o) {
  if (!o.output.empty()) check_file("taylorise", o.output);
  check_apart("taylorise", {o.output}, {o.probe, o.data});
  OpenedRun run = open_run(o.folder, o.data, o.threads);
  const Queries probe = select_queries(o.probe, run.data);
  const StopSignals signals;
  const TaylorisedOptions options{.order = o.order, .steps = parse_step_list(o.steps, "taylorise: --steps"), .count = o.count, .progress = stoppable_bar(signals, "taylorise")};
  const Taylorised found = taylorised(run.recording, *run.model, run.data.train, probe.inputs, probe.targets, options);
  if (!o.output.empty()) write_file(o.output, taylorised_csv(found));
  if (o.json) {
    fmt::print("{}\n", json_of(found, o).dump(2));
    return;
  }
  fmt::print("{} and its Taylor polynomial of order {}, trained alike, on {}\n{}{}", o.folder, o.order, o.probe, table(found), in_words(found));
  if (!o.output.empty()) fmt::print("written to {}\n", o.output);
}

}  // namespace

void add_taylorise(CLI::App& app) {
  auto o = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("taylorise", "Train a recorded network's Taylor polynomial in its weights on the same batches, and compare the two");
  command->add_option("recording", o->folder, "Folder of the run")->required();
  command->add_option("--order", o->order, "1: the linearised network | 2: quadratic in the weights")->capture_default_str()->check(CLI::IsMember({1, 2}));
  command->add_option("--probe", o->probe, "Inputs that both are compared on, with their labels: test:0-99, train:all")->capture_default_str();
  CLI::Option* count = command->add_option("--count", o->count, "Moments, evenly spaced, start and end among them")->capture_default_str()->check(positive);
  command->add_option("--steps", o->steps, "… or these: 0,10,50,100-105")->excludes(count);
  command->add_option("-o,--output", o->output, "All numbers, .csv");
  command->add_option("--data", o->data, "Where the data are now, if they have moved");
  command->add_option("--threads", o->threads, "Threads to compute with (default: as many as recorded)")->check(thread_count);
  command->add_flag("--json", o->json, "Print the result as JSON");
  command->footer("Example:\n  pathkernel taylorise runs/net --order 2 --probe test:0-499 -o taylor.csv");
  command->callback([o] { taylorise(*o); });
}

}  // namespace pathkernel::cli
