#include "checks.h"
#include "commands.h"
#include "data_options.h"
#include "optimizer_options.h"
#include "stop_signals.h"
#include "terminal.h"
#include "trained.h"

#include <pathkernel/core/bytes.h>
#include <pathkernel/core/error.h>
#include <pathkernel/data/batch_order.h>
#include <pathkernel/model/architectures.h>
#include <pathkernel/model/dtype.h>
#include <pathkernel/model/initial_weights.h>
#include <pathkernel/record/record_run.h>
#include <pathkernel/train/objective.h>
#include <pathkernel/train/regulariser.h>

#include <ATen/Parallel.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <filesystem>
#include <functional>
#include <memory>

namespace pathkernel::cli {
namespace {

struct Options {
  Manifest manifest;  ///< what goes into the recording: data, reduction, regulariser, batch, epochs, seed, dtype
  OptimizerOptions optimizer;
  std::string model = "lenet", activation = "relu", loss, init, batches, out, checkpoint_budget;
  int64_t threads = 0;
  double flip = 0;
  bool json = false;
};

/// Parameters, what the optimizer keeps for each, and their average, in bytes.
int64_t checkpoint_bytes(const Model& model, const TrainingSettings& settings, at::ScalarType dtype) {
  const int64_t states = make_optimizer(settings.optimizer, model.parameters())->numbers_per_weight() + (settings.keeps_average() ? 1 : 0);
  return (count_numbers(model.parameters()) * (1 + states) + count_numbers(model.buffers())) * (dtype == at::kDouble ? 8 : 4);
}

/// Numbers the network must give for each input.
int64_t outputs_needed(const Dataset& data, const Objective& objective) {
  if (data.is_classification()) return objective.outputs_for_classes(static_cast<int64_t>(data.class_names.size()));
  return data.targets.dim() < 2 ? 1 : data.targets.size(1);
}

/// Where a table's column could be read as classes or as numbers, the loss that was asked for decides.
TrainTest load_for(DataSource& source, const std::string& loss) {
  if (!loss.empty() && is_table(source)) source.targets = make_objective(loss)->targets();
  return load(source);
}

/// cross-entropy for classes, mse for numbers, unless asked otherwise.
std::unique_ptr<Objective> objective_for(const Dataset& data, const std::string& loss, const std::string& reduction) {
  const std::string fitting = data.is_classification() ? "cross-entropy" : "mse";
  auto objective = make_objective(loss.empty() ? fitting : loss, reduction);
  objective->check(data);
  return objective;
}

std::vector<Tensor> batches_for(const Dataset& data, const Options& o, Manifest& manifest) {
  if (o.batches.empty()) return shuffled_batches(data.size(), manifest.batch, manifest.epochs, manifest.seed);
  auto batches = batches_from_file(o.batches, data.size());
  int64_t draws = 0;
  manifest.batch = 0;
  for (const Tensor& batch : batches) {
    draws += batch.size(0);
    manifest.batch = std::max(manifest.batch, batch.size(0));
  }
  manifest.epochs = static_cast<double>(draws) / static_cast<double>(data.size());
  return batches;
}

/// "the labels are 3 classes (a, b, c); for numbers use --loss mse"
std::string what_is_learned(const Dataset& data) {
  if (!data.is_classification()) return "the targets are numbers; for classes use --loss cross-entropy";
  std::vector<std::string> some = data.class_names;
  if (some.size() > 3) some.resize(3), some.push_back("…");
  return fmt::format("the labels are {} classes ({}); for numbers use --loss mse", data.class_names.size(), fmt::join(some, ", "));
}

/// A full disk ends a run, but loses nothing.
RunOutcome keeping_what_is_recorded(const std::string& folder, const std::function<RunOutcome()>& run) {
  try {
    return run();
  } catch (const InvalidInput& error) {
    if (!std::filesystem::exists(std::filesystem::path(folder) / "recording.sqlite")) throw;
    throw InvalidInput(fmt::format("{}\nWhat was recorded before is kept; when that is mended, go on with: pathkernel resume {}", error.what(), folder));
  }
}

void train(Options o) {
  Recorder::check_vacant(o.out);
  if (o.threads > 0) at::set_num_threads(static_cast<int>(o.threads));
  Manifest manifest = o.manifest;
  manifest.optimizer = o.optimizer.settings();
  if (const auto regulariser = make_regulariser(manifest.regulariser)) manifest.regulariser = regulariser->name();
  const at::ScalarType dtype = parse_dtype(manifest.dtype);

  TrainTest data = load_for(manifest.data, o.loss);
  if (o.flip != 0) {
    manifest.data.flips = plant_flips(data.train, o.flip, manifest.seed);
    apply(manifest.data.flips, data.train);
  }
  const auto objective = objective_for(data.train, o.loss, manifest.reduction);
  manifest.objective = objective->name();
  const auto model = make_model(o.model, o.activation, manifest.seed, dtype);
  check_fits(*model, data.train.inputs, outputs_needed(data.train, *objective), what_is_learned(data.train));
  if (!o.init.empty()) load_initial_weights(*model, o.init);
  const auto batches = batches_for(data.train, o, manifest);
  const int64_t budget = o.checkpoint_budget.empty() ? 0 : parse_bytes(o.checkpoint_budget);
  manifest.checkpoint_every =
      checkpoint_spacing(static_cast<int64_t>(batches.size()), checkpoint_bytes(*model, manifest, dtype), budget);

  const StopSignals signals;
  const RunOutcome run = keeping_what_is_recorded(o.out, [&] {
    return record_run(o.out, manifest, *model, data.train, batches, progress_bar(), signals.request());
  });
  report_training(o.out, manifest, run, *model, data, o.json);
}

}  // namespace

void add_train(CLI::App& app) {
  auto o = std::make_shared<Options>();
  o->manifest.epochs = 1;
  Manifest& m = o->manifest;
  CLI::App* command = app.add_subcommand("train", "Train a network and record every step");
  add_data_options(*command, m.data);
  command->add_option("--model", o->model, "lenet; mlp: and the widths of its layers, e.g. mlp:784-128-10; or resnet: and input channels, widths of its stages, "
                                              "outputs, e.g. resnet:1-8-16-10")->capture_default_str();
  command->add_option("--activation", o->activation, "relu, tanh, gelu or silu")
      ->capture_default_str()
      ->check(CLI::IsMember({"relu", "tanh", "gelu", "silu"}));
  command->add_option("--loss", o->loss,
                      "cross-entropy, label-smoothing:0.1 or hinge for classes; mse, huber:1 or bce-with-logits for numbers (default: cross-entropy or mse, "
                      "what fits the targets)");
  command->add_option("--reduction", m.reduction, "A batch's loss is the mean or the sum of its examples' losses")->capture_default_str()->check(CLI::IsMember({"mean", "sum"}));
  command->add_option("--regulariser", m.regulariser, "A term of the loss that belongs to no example: l1:1e-4 or l2:1e-3 and the like");
  o->optimizer.add_to(*command);
  command->add_option("--batch", m.batch, "Examples per step")->capture_default_str()->check(positive);
  CLI::Option* epochs = command->add_option("--epochs", m.epochs, "Passes over the training examples; may be a fraction")
                            ->capture_default_str()
                            ->check(positive);
  command->add_option("--accumulate", m.accumulate, "Micro-batches whose gradients a step adds up")->capture_default_str()->check(positive);
  command->add_option("--ema", m.ema, "Keep an exponential moving average of the weights with this decay, e.g. 0.99 (0: none)")->capture_default_str();
  command->add_option("--batches", o->batches, "An .npy file, int64 [steps, batch]: which examples each step draws (-1: none)")->excludes(epochs);
  command->add_option("--init", o->init, "A .safetensors file with the initial weights");
  command->add_option("--flip", o->flip, "Plant label errors in this share of the training examples, e.g. 0.01; the recording remembers which (`pathkernel audit` looks for them)")->check(not_negative);
  command->add_option("--seed", m.seed, "Of the initial weights, of the order of the examples and of --flip")->capture_default_str()->check(not_negative);
  command->add_option("--dtype", m.dtype, "float or double")->capture_default_str()->check(CLI::IsMember({"float", "double"}));
  command->add_option("--threads", o->threads, "Threads to compute with (default: all cores)")->check(thread_count);
  command->add_option("--checkpoint-budget,--memory", o->checkpoint_budget,
                      "Disk space for checkpoints, e.g. 1GiB; fewer are kept where they would take more");
  command->add_option("--out", o->out, "Folder for the recording; must not exist, or be empty")->required();
  command->add_flag("--json", o->json, "Print the result as JSON");
  command->footer("Examples:\n"
                  "  pathkernel train --data mnist --model lenet --lr 0.01 --momentum 0.9 --out runs/lenet\n"
                  "  pathkernel train --data houses.csv --label price --model mlp:13-32-1 --optimizer adamw --epochs 50 --out runs/houses");
  command->callback([o] { train(*o); });
}

}  // namespace pathkernel::cli
