#include "checks.h"
#include "commands.h"
#include "opened_run.h"
#include "output_folder.h"
#include "stop_signals.h"
#include "text_table.h"

#include <pathkernel/core/bytes.h>
#include <pathkernel/core/files.h>
#include <pathkernel/core/json.h>
#include <pathkernel/kernel/fidelity.h>
#include <pathkernel/sweep/queries.h>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <cmath>
#include <map>
#include <memory>

namespace pathkernel::cli {
namespace {

struct Options {
  std::string folder, queries = "test:0-99", output, data, memory = "4GiB";
  int64_t threads = 0;
  bool json = false;
};

const std::map<std::string, std::string> words = {{"path", "its path kernel"},
                                                  {"untrained", "its tangent kernel, untrained"},
                                                  {"trained", "its tangent kernel, trained"},
                                                  {"outputs", "f(x)·f(x'), the trained outputs"},
                                                  {"gaussian", "a Gaussian of the inputs"},
                                                  {"noise", "a Gaussian of random numbers"}};

std::string table(const Fidelity& found) {
  TextTable table({"kernel", ">R², mean in time", ">R², fitted", ">own a_i(x): off by", ">vary by", ">K < 0"});
  for (const KernelFidelity& k : found.kernels)
    table.row({words.at(k.kernel), number_cell(k.time_mean, "{:.3f}"), number_cell(k.least_squares, "{:.3f}"), number_cell(k.tautology, "{:.0e}"), number_cell(k.spread, "{:.2g}"),
               number_cell(100 * k.negative, "{:.0f} %")});
  return table.str(2);
}

std::string in_words(const Fidelity& found) {
  std::string text;
  if (std::isnan(found.flow)) text += "This optimizer's steps are no multiple of the gradient: only fitted coefficients can be judged.\n";
  else text += fmt::format("Read as gradient flow on the kernels of all steps, the run has R² = {:.4g}. ", found.flow) +
               "With coefficients a_i(x) = c_i(x)/K(x, x_i) any kernel gives the same, one of random numbers too: that says nothing of the kernel. What says something is "
               "R² with coefficients that do not depend on x.\n";
  return text;
}

nlohmann::json json_of(const Fidelity& found, const Options& o) {
  nlohmann::json kernels = nlohmann::json::array();
  for (const KernelFidelity& k : found.kernels)
    kernels.push_back({{"kernel", k.kernel}, {"tautology", number_or_null(k.tautology)}, {"spread", number_or_null(k.spread)}, {"time_mean", number_or_null(k.time_mean)},
                       {"least_squares", number_or_null(k.least_squares)}, {"negative", k.negative}});
  return {{"run", o.folder}, {"queries", o.queries}, {"examples", found.examples}, {"outputs", found.outputs}, {"steps", found.steps}, {"flow", number_or_null(found.flow)}, {"kernels", kernels}};
}

void fidelity(const Options& o) {
  if (!o.output.empty()) check_file("fidelity", o.output);
  check_apart("fidelity", {o.output}, {o.queries, o.data});
  OpenedRun run = open_run(o.folder, o.data, o.threads);
  const Queries queries = select_queries(o.queries, run.data);
  const StopSignals signals;
  const Fidelity found = pathkernel::fidelity(run.recording, *run.model, run.data.train, queries.inputs, {parse_bytes(o.memory), stoppable_bar(signals, "fidelity")});
  if (!o.output.empty()) write_file(o.output, fidelity_csv(found));
  if (o.json) {
    fmt::print("{}\n", json_of(found, o).dump(2));
    return;
  }
  fmt::print("What training changed in {} on {}, as a sum over {} examples with coefficients that do not depend on x\n{}{}", o.folder, o.queries, found.examples, table(found), in_words(found));
  if (!o.output.empty()) fmt::print("written to {}\n", o.output);
}

}  // namespace

void add_fidelity(CLI::App& app) {
  auto o = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("fidelity", "How far a recorded network is a kernel machine with coefficients that do not depend on x, beside kernels that have nothing to do with it");
  command->add_option("recording", o->folder, "Folder of the run")->required();
  command->add_option("--queries", o->queries, "Inputs to judge on, every second one kept from the fits: test:0-99")->capture_default_str();
  command->add_option("-o,--output", o->output, "All numbers, .csv");
  command->add_option("--memory", o->memory, "For the kernels and the work")->capture_default_str();
  command->add_option("--data", o->data, "Where the data are now, if they have moved");
  command->add_option("--threads", o->threads, "Threads to compute with (default: as many as recorded)")->check(thread_count);
  command->add_flag("--json", o->json, "Print the result as JSON");
  command->footer("Example:\n  pathkernel fidelity runs/net --queries test:0-99 -o fidelity.csv");
  command->callback([o] { fidelity(*o); });
}

}  // namespace pathkernel::cli
