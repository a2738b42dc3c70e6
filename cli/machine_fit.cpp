#include "machine_fit.h"
#include "checks.h"
#include "commands.h"
#include "opened_run.h"
#include "terminal.h"

#include <pathkernel/core/bytes.h>
#include <pathkernel/core/error.h>
#include <pathkernel/core/parse_number.h>
#include <pathkernel/kernel/gram.h>
#include <pathkernel/machine/machine_file.h>
#include <pathkernel/record/replay.h>

#include <ATen/Parallel.h>
#include <ATen/ops/full.h>
#include <ATen/ops/zeros.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include <chrono>
#include <filesystem>

namespace pathkernel::cli {
namespace {

/// The network of a run with its weights at the beginning of a step.
std::unique_ptr<Model> network_of(const std::string& folder, const std::string& at) {
  OpenedRun run = open_run(folder);
  const int64_t last = run.recording.steps();
  const auto step = at == "start" ? std::optional<int64_t>(0) : at == "end" ? std::optional<int64_t>(last) : parse_number<int64_t>(at);
  if (!step || *step < 0 || *step > last)
    throw InvalidInput(fmt::format("machine: --at '{}' is not understood; start, end, or a step from 0 to {} is expected (a path kernel: pathkernel tangent --at path, then --gram)", at, last));
  int64_t checkpoint = 0;
  for (const int64_t s : run.recording.checkpoint_steps())
    if (s <= *step) checkpoint = s;
  const Learner learner(*run.model);
  Replay replay(run.recording, learner, run.data.train);
  replay.restore(checkpoint);
  while (replay.position() < *step) replay.advance();
  return std::move(run.model);
}

void check_kernel(const FitOptions& o) {
  const int given = o.kernel.given() + !o.data.gram.empty() + !o.run.empty();
  if (given == 0) throw InvalidInput("machine: --kernel is missing, e.g. --kernel rbf --lengthscale 2 (or --run, the tangent kernel of a recorded network)");
  if (given > 1)
    throw InvalidInput(o.run.empty() ? "machine: --gram is in place of a kernel; leave out --kernel" : "machine: --run is in place of a kernel; leave out --kernel and --gram");
}

FitProblem read_problem(const FitOptions& o, bool wants_targets) {
  check_kernel(o);
  FitProblem p;
  p.machine = o.machine();
  if (o.kernel.given()) p.kernel = o.kernel.make();
  if (!o.run.empty()) p.model = network_of(o.run, o.at);
  if (o.threads > 0) at::set_num_threads(static_cast<int>(o.threads));
  p.data = read_training(o.data, wants_targets);
  const Tensor& y = p.data.targets;
  if (!wants_targets) return p;
  if (const auto classes = static_cast<int64_t>(p.data.classes.size()); classes > 0) {
    const double share = 1 / static_cast<double>(classes);
    p.offset = at::full({classes}, share, at::kDouble);
    p.targets = at::zeros({y.size(0), classes}, at::kDouble).scatter_(1, y.unsqueeze(1), 1) - share;
    return p;
  }
  const Tensor numbers = targets_of(y, p.examples(), "machine");
  p.offset = o.no_center ? at::zeros({numbers.size(1)}, at::kDouble) : numbers.mean(0);
  p.targets = numbers - p.offset;
  return p;
}

/// Refused before the work, not after it.
void check_output(const std::string& folder) {
  if (std::filesystem::exists(folder) && !std::filesystem::is_directory(folder))
    throw InvalidInput(fmt::format("machine: '{}' is a file, but -o names the folder for the machine", folder));
}

std::string kernel_words(const TrainedMachine& machine) {
  if (machine.network) return fmt::format("tangent kernel of {}", machine.network->specification);
  return machine.kernel.empty() ? "on a Gram matrix" : machine.kernel;
}

void print(const FitOptions& o, const TrainedMachine& machine, int64_t examples, const std::vector<std::string>& notes, double seconds) {
  if (o.json) {
    const nlohmann::json json{{"output", o.output}, {"kind", machine.kind}, {"kernel", machine.network ? kernel_words(machine) : machine.kernel}, {"examples", examples}, {"classes", machine.classes},
                              {"numbers", machine.numbers}, {"notes", notes}, {"seconds", seconds}};
    fmt::print("{}\n", json.dump(2));
    return;
  }
  fmt::print("{}: {}, {} examples, {}, in {}\n", o.output, machine.kind, examples, kernel_words(machine), print_duration(seconds));
  for (const std::string& note : notes) fmt::print("{}\n", note);
}

void run(const FitOptions& o, const FitKind& kind) {
  check_output(o.output);
  const FitProblem problem = read_problem(o, kind.wants_targets);
  const auto begin = std::chrono::steady_clock::now();
  std::vector<std::string> notes;
  TrainedMachine machine = kind.fit(problem, notes);
  machine.kind = kind.name;
  if (problem.kernel) machine.kernel = problem.kernel->specification();
  if (problem.model) machine.network = KeptNetwork::of(*problem.model);
  if ((problem.kernel || problem.model) && !machine.inputs.defined()) machine.inputs = problem.data.inputs;
  if (kind.wants_targets) machine.classes = problem.data.classes;
  const bool has_own = std::holds_alternative<Finetuned>(machine.fitted);
  if (!machine.offset.defined() && problem.offset.defined() && !has_own) machine.offset = problem.offset;
  if (const auto jitter = machine.numbers.find("jitter"); jitter != machine.numbers.end() && jitter->second > 0)
    notes.push_back(fmt::format("jitter: {:.3g} was added to the diagonal, as --jitter allows", jitter->second));
  save_machine(o.output, machine);
  print(o, machine, problem.examples(), notes, std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
}

void add_kind(CLI::App& fit, const FitKind& kind) {
  auto o = std::make_shared<FitOptions>();
  CLI::App* command = fit.add_subcommand(kind.name, kind.description);
  o->data.add_to(*command, /*fitting=*/true);
  o->kernel.add_to(*command, "--kernel");
  command->add_option("--run", o->run, "In place of a kernel: the tangent kernel of the network that this folder is a recording of");
  command->add_option("--at", o->at, "Of --run: with the weights of the start (untrained), the end, or before a step")->capture_default_str();
  kind.add_options(*command);
  if (kind.wants_targets) command->add_flag("--no-center", o->no_center, "Numbers to predict are taken as they are, without subtracting their mean");
  command->add_option("--jitter", o->jitter, "The most that may be added to a singular matrix's diagonal, as a part of its mean (default: none)")->check(not_negative);
  command->add_option("--memory", o->memory, "For matrices")->capture_default_str();
  command->add_option("--threads", o->threads, "Threads to compute with (default: all)")->check(thread_count);
  command->add_option("-o,--output", o->output, "Folder for the machine")->required();
  command->add_flag("--json", o->json, "Print the result as JSON");
  command->callback([o, kind] { run(*o, kind); });
}

}  // namespace

MachineOptions FitOptions::machine() const { return {.largest_jitter = jitter, .memory = parse_bytes(memory)}; }

Tensor FitProblem::gram() const {
  if (data.gram.defined()) {
    const Tensor K = training_gram(data.gram, "machine");
    require_positive_semi_definite(K, "machine");
    return K;
  }
  if (model) return network_gram(*model, data.inputs, {}, machine.memory, progress_bar());
  return gram_matrix(*kernel, data.inputs, {}, {.memory = machine.memory, .progress = progress_bar()});
}

Tensor FitProblem::labels(const char* kind) const {
  if (!data.classes.empty()) return data.targets;
  throw InvalidInput(fmt::format("machine: {} is for classes, but the targets are numbers; give integers, or fit ridge or gp", kind));
}

void add_machine_fit(CLI::App& machine) {
  CLI::App* fit = machine.add_subcommand("fit", "Fit a machine to examples");
  fit->require_subcommand(1);
  fit->footer("Example:\n  pathkernel machine fit ridge --data digits --kernel ntk --net \"flatten dense relu dense\" -o digits_machine\n"
              "  pathkernel machine fit gp --x x.npy --y y.npy --kernel rbf --noise 0.1 --optimise -o gp_machine\n"
              "  pathkernel machine fit finetune --run runs/lenet --data fashion-mnist --limit 100 -o fashion_machine");
  for (const FitKind& kind : {ridge_kind(), gaussian_process_kind(), classifier_kind(), svm_kind(), pca_kind(), dynamics_kind(), finetune_kind()}) add_kind(*fit, kind);
}

void add_machine(CLI::App& app) {
  CLI::App* machine = app.add_subcommand("machine", "Ridge regression, Gaussian processes and support vector machines on kernels");
  machine->require_subcommand(1);
  add_machine_fit(*machine);
  add_machine_predict(*machine);
  add_machine_score(*machine);
}

}  // namespace pathkernel::cli
