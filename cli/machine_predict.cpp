#include "checks.h"
#include "machine_fit.h"
#include "output_folder.h"
#include "terminal.h"

#include <pathkernel/core/bytes.h>
#include <pathkernel/core/error.h>
#include <pathkernel/data/npy.h>
#include <pathkernel/machine/machine_file.h>

#include <ATen/Parallel.h>
#include <ATen/ops/tensor.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include <charconv>

namespace pathkernel::cli {
namespace {

struct Options {
  MachineDataOptions data;
  std::string folder, output, outputs, variance, probabilities, memory = "4GiB";
  int64_t threads = 0;
  bool json = false;
};

MachinePrediction predict_queries(const Options& o, const TrainedMachine& machine, const MachineData& data) {
  if (o.threads > 0) at::set_num_threads(static_cast<int>(o.threads));
  if (!data.gram.defined()) return predict_inputs(machine, data.inputs, parse_bytes(o.memory), progress_bar());
  if ((!machine.kernel.empty() || machine.network) && std::holds_alternative<Svm>(machine.fitted))
    throw InvalidInput("machine: this support vector machine keeps its support vectors and their kernel; give --x or --data");
  if (machine.wants_diagonal() && !data.gram_diagonal.defined())
    throw InvalidInput(fmt::format("machine: a {} needs k(x, x) of the queries for its variance; give --gram-diagonal FILE.npy", machine.kind));
  return predict(machine, data.gram, data.gram_diagonal);
}

/// Classes as the integers they were given as; where they have other names, counted from 0.
Tensor class_numbers(const TrainedMachine& machine, const Tensor& indices) {
  std::vector<int64_t> numbers;
  for (const std::string& name : machine.classes) {
    int64_t number = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
    if (error != std::errc{} || end != name.data() + name.size()) return indices;
    numbers.push_back(number);
  }
  return at::tensor(numbers, at::kLong).index_select(0, indices);
}

Tensor squeezed(const Tensor& outputs) { return outputs.dim() == 2 && outputs.size(1) == 1 ? outputs.squeeze(1) : outputs; }

void write_wanted(const std::string& path, const Tensor& tensor, const char* option, const TrainedMachine& machine, const char* who_has) {
  if (path.empty()) return;
  if (!tensor.defined()) throw InvalidInput(fmt::format("machine: {}: a {} has none; {}", option, machine.kind, who_has));
  write_npy(path, tensor);
}

void run_predict(const Options& o) {
  for (const std::string& path : {o.output, o.outputs, o.variance, o.probabilities})
    if (!path.empty() && !path.ends_with(".npy")) throw InvalidInput(fmt::format("machine: the output is \"{}\", but a name that ends in .npy is expected", path));
  check_apart("machine", {o.output, o.outputs, o.variance, o.probabilities}, {o.data.x, o.data.y, o.data.gram, o.data.gram_diagonal, o.data.source.location});
  const TrainedMachine machine = load_machine(o.folder);
  const MachinePrediction p = predict_queries(o, machine, read_queries(o.data, machine.classes, /*wants_targets=*/false));
  write_wanted(o.variance, p.variance, "--variance", machine, "Gaussian processes for regression do, and exact fine-tuning");
  write_wanted(o.probabilities, p.probabilities, "--probabilities", machine, "gp-classifier does, finetune, and svm fitted with --probability");
  write_wanted(o.outputs, squeezed(p.outputs), "--outputs", machine, "");
  const Tensor result = p.classes.defined() ? class_numbers(machine, p.classes) : squeezed(p.outputs);
  write_npy(o.output, result);
  if (o.json) {
    nlohmann::json json{{"output", o.output}, {"kind", machine.kind}, {"shape", result.sizes().vec()}, {"classes", machine.classes}};
    if (p.probability_error > 0) json["probability_standard_error"] = p.probability_error;
    fmt::print("{}\n", json.dump(2));
    return;
  }
  fmt::print("{}: {} [{}] of {}\n", o.output, p.classes.defined() ? "classes" : "numbers", fmt::join(result.sizes(), ", "), machine.kind);
  if (p.probability_error > 0) fmt::print("probabilities are a Monte-Carlo estimate: largest standard error {:.2g}\n", p.probability_error);
}

void run_score(const Options& o) {
  const TrainedMachine machine = load_machine(o.folder);
  const MachineData data = read_queries(o.data, machine.classes, /*wants_targets=*/true);
  const Score s = score(machine, predict_queries(o, machine, data), data.targets);
  const std::vector<std::pair<const char*, std::optional<double>>> parts = {{"accuracy", s.accuracy}, {"log_loss", s.log_loss}, {"root_mean_square", s.root_mean_square},
                                                                            {"r_squared", s.r_squared}, {"log_density", s.log_density}};
  if (o.json) {
    nlohmann::json json{{"kind", machine.kind}, {"examples", s.examples}};
    for (const auto& [name, value] : parts)
      if (value) json[name] = *value;
    fmt::print("{}\n", json.dump(2));
    return;
  }
  fmt::print("{}: {} examples", o.folder, s.examples);
  for (const auto& [name, value] : parts)
    if (value) fmt::print(", {} {:.6g}", name, *value);
  fmt::print("\n");
}

CLI::App* add_common(CLI::App& machine, const char* name, const char* description, const std::shared_ptr<Options>& o) {
  CLI::App* command = machine.add_subcommand(name, description);
  command->add_option("machine", o->folder, "Folder that machine fit wrote")->required();
  o->data.add_to(*command, /*fitting=*/false);
  command->add_option("--memory", o->memory, "For kernel matrices")->capture_default_str();
  command->add_option("--threads", o->threads, "Threads to compute with (default: all)")->check(thread_count);
  command->add_flag("--json", o->json, "Print the result as JSON");
  return command;
}

}  // namespace

void add_machine_predict(CLI::App& machine) {
  auto o = std::make_shared<Options>();
  CLI::App* command = add_common(machine, "predict", "Predictions of a fitted machine", o);
  command->add_option("-o,--output", o->output, "Predictions, .npy: classes, or numbers, or components")->required();
  command->add_option("--outputs", o->outputs, "Also the numbers behind classes, .npy: one for each class, or for each pair (svm)");
  command->add_option("--variance", o->variance, "Also variances without the noise, .npy (gp)");
  command->add_option("--probabilities", o->probabilities, "Also probabilities, .npy (gp-classifier, svm)");
  command->footer("Example:\n  pathkernel machine predict digits_machine --x new.npy -o classes.npy");
  command->callback([o] { run_predict(*o); });
}

void add_machine_score(CLI::App& machine) {
  auto o = std::make_shared<Options>();
  CLI::App* command = add_common(machine, "score", "How good a fitted machine's predictions are", o);
  command->footer("Example:\n  pathkernel machine score digits_machine --data digits");
  command->callback([o] { run_score(*o); });
}

}  // namespace pathkernel::cli
