#include "checks.h"
#include "commands.h"
#include "opened_run.h"
#include "output_folder.h"
#include "stop_signals.h"
#include "terminal.h"

#include <pathkernel/core/bytes.h>
#include <pathkernel/core/error.h>
#include <pathkernel/core/parse_number.h>
#include <pathkernel/data/npy.h>
#include <pathkernel/kernel/path_kernel.h>
#include <pathkernel/model/dtype.h>
#include <pathkernel/sweep/evaluation.h>
#include <pathkernel/sweep/queries.h>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include <chrono>
#include <map>
#include <memory>

namespace pathkernel::cli {
namespace {

struct Options {
  std::string folder, x = "test:0-99", y, at = "end", form = "full", output, data, memory = "4GiB";
  int64_t every = 1, threads = 0;
  bool json = false;
};

const std::map<std::string, TangentForm> forms = {{"full", TangentForm::full}, {"trace", TangentForm::trace}, {"diagonal", TangentForm::diagonal}};

int64_t step_of(const Options& o, const Recording& recording) {
  if (o.at == "start") return 0;
  if (o.at == "end") return recording.steps();
  const auto step = parse_number<int64_t>(o.at);
  if (!step) throw InvalidInput(fmt::format("tangent: --at '{}' is not understood; a step, start, end, or path is expected", o.at));
  return *step;
}

void tangent(const Options& o) {
  if (!o.output.ends_with(".npy")) throw InvalidInput(fmt::format("tangent: the output is \"{}\", but a name that ends in .npy is expected", o.output));
  if (o.every != 1 && o.at != "path") throw InvalidInput(fmt::format("tangent: --every {} goes with --at path, not with --at {}, which is one tangent kernel", o.every, o.at));
  check_file("tangent", o.output);
  check_apart("tangent", {o.output}, {o.x, o.y, o.data});
  OpenedRun run = open_run(o.folder, o.data, o.threads);
  const at::ScalarType dtype = parse_dtype(run.recording.manifest().dtype);
  const auto inputs_of = [&](const std::string& which) { return which.empty() ? Tensors() : in(dtype, select_queries(which, run.data).inputs); };
  const Tensors x = inputs_of(o.x), y = inputs_of(o.y);
  const StopSignals signals;
  const TangentOptions options{.form = forms.at(o.form), .memory = parse_bytes(o.memory), .progress = stoppable_bar(signals, "tangent")};
  const auto begin = std::chrono::steady_clock::now();
  const Tensor kernel = o.at == "path" ? path_kernel(run.recording, *run.model, run.data.train, x, y, {options, o.every})
                                       : tangent_kernel_at(run.recording, *run.model, run.data.train, step_of(o, run.recording), x, y, options);
  write_npy(o.output, kernel);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  if (o.json) fmt::print("{}\n", nlohmann::json{{"output", o.output}, {"shape", kernel.sizes().vec()}, {"at", o.at}, {"form", o.form}, {"symmetric", y.empty()}, {"seconds", seconds}}.dump(2));
  else fmt::print("{}: {} [{}]{}, {} of {}, {}, in {}\n", o.output, run.recording.manifest().dtype == "double" ? "float64" : "float32", fmt::join(kernel.sizes(), ", "),
                  y.empty() ? ", symmetric" : "", o.at == "path" ? "path kernel" : "tangent kernel", o.folder, o.form, print_duration(seconds));
}

}  // namespace

void add_tangent(CLI::App& app) {
  auto o = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("tangent", "Write the tangent kernel of a recorded network, at any step or summed along its path");
  command->add_option("recording", o->folder, "Folder of the run")->required();
  command->add_option("--x", o->x, "Inputs: test:0-99, train:3,5, or FILE.npy")->capture_default_str();
  command->add_option("--y", o->y, "Other inputs: K(x, y); without them the symmetric K(x, x)");
  CLI::Option* when = command->add_option("--at", o->at, "start (untrained) | end (trained) | a step (before it) | path: the path kernel, the sum over the steps with their learning rates")
                          ->capture_default_str();
  command->add_option("--every", o->every, "With --at path: steps that share a tangent kernel")->capture_default_str()->check(positive)->needs(when);
  command->add_option("--form", o->form, "full [n, m, O, O] | trace [n, m], the sum over the outputs | diagonal [n, m, O]")->capture_default_str()->check(CLI::IsMember(forms));
  command->add_option("-o,--output", o->output, "The kernel, .npy")->required();
  command->add_option("--memory", o->memory, "For the result and the work")->capture_default_str();
  command->add_option("--data", o->data, "Where the data are now, if they have moved");
  command->add_option("--threads", o->threads, "Threads to compute with (default: as many as recorded)")->check(thread_count);
  command->add_flag("--json", o->json, "Print the result as JSON");
  command->footer("Examples:\n"
                  "  pathkernel tangent runs/lenet --x test:0-99 --form trace -o K.npy\n"
                  "  pathkernel tangent runs/lenet --x test:0-99 --y train:0-499 --at path --every 50 --form trace -o P.npy");
  command->callback([o] { tangent(*o); });
}

}  // namespace pathkernel::cli
