#include "checks.h"
#include "commands.h"
#include "opened_run.h"
#include "output_folder.h"
#include "step_list.h"
#include "stop_signals.h"
#include "text_table.h"

#include <pathkernel/core/bytes.h>
#include <pathkernel/core/files.h>
#include <pathkernel/kernel/evolution.h>
#include <pathkernel/sweep/queries.h>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <memory>

namespace pathkernel::cli {
namespace {

struct Options {
  std::string folder, probe = "test:0-99", steps, output, data, memory = "4GiB";
  int64_t count = 9, threads = 0;
  bool json = false;
};

std::string table(const std::vector<KernelMoment>& moments) {
  TextTable table({">step", ">loss", ">Δ(Df)", ">Δ(L)", ">lazy ratio", ">S(K, K_0)", ">alignment with K_0", ">with labels", ">eff. rank", ">velocity", ">lin. error"});
  for (const KernelMoment& m : moments)
    table.row({std::to_string(m.step), number_cell(m.loss), number_cell(m.change_of_kernel, "{:.3g}"), number_cell(m.change_of_loss, "{:.3g}"), number_cell(m.lazy_ratio(), "{:.3g}"),
               number_cell(m.distance, "{:.2g}"), number_cell(m.alignment, "{:.3f}"), number_cell(m.label_alignment, "{:.3f}"), number_cell(m.ranks.entropy, "{:.1f}"),
               number_cell(m.velocity, "{:.3g}"), number_cell(m.linearisation_error, "{:.3g}")});
  return table.str(2);
}

/// docs/dynamics.md
const char* verdict(const KernelMoment& first, const KernelMoment& end) {
  if (!(end.loss < first.loss)) return "its loss did not fall, so that the training was neither lazy nor active";
  if (end.lazy_ratio() > 0.5) return "active training, the kernel is learned too";
  return end.lazy_ratio() < 0.1 && end.change_of_kernel < 0.1 ? "lazy training" : "between lazy and active training";
}

std::string in_words(const KernelMoment& first, const KernelMoment& end) {
  if (end.change_of_kernel == 0) return "Nothing moved.\n";
  const auto share = [](double x) { return number_cell(100 * x, "{:.0f} %"); };
  return fmt::format("The loss of the probe changed by {} of itself, the Jacobian by {}: {}. The network at the tangent plane of its initial weights would have missed {} of the change of the "
                     "outputs.\n",
                     share(end.change_of_loss), share(end.change_of_kernel), verdict(first, end), share(end.linearisation_error));
}

nlohmann::json json_of(const KernelMoment& m) {
  return {{"step", m.step}, {"time", m.time}, {"loss", m.loss}, {"distance", m.distance}, {"distance_to_previous", m.distance_to_previous}, {"alignment", m.alignment},
          {"label_alignment", m.label_alignment}, {"label_share", m.label_share},
          {"ranks", {{"entropy", m.ranks.entropy}, {"participation", m.ranks.participation}, {"stable", m.ranks.stable}}}, {"velocity", m.velocity},
          {"change_of_kernel", m.change_of_kernel}, {"change_of_loss", m.change_of_loss}, {"lazy_ratio", m.lazy_ratio()}, {"linearisation_error", m.linearisation_error}};
}

void evolution(const Options& o) {
  if (!o.output.empty()) check_file("evolution", o.output);
  check_apart("evolution", {o.output}, {o.probe, o.data});
  OpenedRun run = open_run(o.folder, o.data, o.threads);
  const Queries probe = select_queries(o.probe, run.data);
  const StopSignals signals;
  const EvolutionOptions options{.steps = parse_step_list(o.steps, "evolution: --steps"), .count = o.count, .memory = parse_bytes(o.memory), .progress = stoppable_bar(signals, "evolution")};
  const std::vector<KernelMoment> moments = kernel_evolution(run.recording, *run.model, run.data.train, probe.inputs, probe.targets, options);
  if (!o.output.empty()) write_file(o.output, evolution_csv(moments));
  if (o.json) {
    nlohmann::json list = nlohmann::json::array();
    for (const KernelMoment& m : moments) list.push_back(json_of(m));
    fmt::print("{}\n", nlohmann::json{{"run", o.folder}, {"probe", o.probe}, {"moments", list}}.dump(2));
    return;
  }
  fmt::print("Tangent kernel of {} on {}\n{}{}", o.folder, o.probe, table(moments), moments.size() > 1 ? in_words(moments.front(), moments.back()) : "");
  if (!o.output.empty()) fmt::print("written to {}\n", o.output);
}

}  // namespace

void add_evolution(CLI::App& app) {
  auto o = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("evolution", "How a recorded network's tangent kernel changed while it trained: lazy or active");
  command->add_option("recording", o->folder, "Folder of the run")->required();
  command->add_option("--probe", o->probe, "Inputs whose kernel is looked at, with their labels: test:0-99, train:all")->capture_default_str();
  CLI::Option* count = command->add_option("--count", o->count, "Moments, evenly spaced, start and end among them")->capture_default_str()->check(positive);
  command->add_option("--steps", o->steps, "… or these: 0,10,50,100-105")->excludes(count);
  command->add_option("-o,--output", o->output, "All numbers, .csv");
  command->add_option("--memory", o->memory, "For the work")->capture_default_str();
  command->add_option("--data", o->data, "Where the data are now, if they have moved");
  command->add_option("--threads", o->threads, "Threads to compute with (default: as many as recorded)")->check(thread_count);
  command->add_flag("--json", o->json, "Print the result as JSON");
  command->footer("Example:\n  pathkernel evolution runs/lenet --probe test:0-99 --count 9 -o evolution.csv");
  command->callback([o] { evolution(*o); });
}

}  // namespace pathkernel::cli
