#include "machine_data.h"
#include "data_options.h"
#include "read_rows.h"

#include <pathkernel/core/error.h>

#include <ATen/ops/tensor.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>

namespace pathkernel::cli {
namespace {

/// One source, and with it only what belongs to it.
void check_source(const MachineDataOptions& o, bool wants_targets) {
  const int given = !o.source.location.empty() + !o.x.empty() + !o.gram.empty();
  if (given != 1)
    throw InvalidInput(fmt::format("machine: {} of --data, --x and --gram were given; exactly one says where the examples are", given == 0 ? "none" : "several"));
  if (!o.source.location.empty() && !o.y.empty()) throw InvalidInput("machine: --y goes with --x or --gram; --data has targets of its own");
  if (o.source.location.empty() && wants_targets && o.y.empty()) throw InvalidInput("machine: --y FILE.npy is missing: class labels (integers) or numbers to predict");
  if (!o.gram_diagonal.empty() && o.gram.empty()) throw InvalidInput("machine: --gram-diagonal goes with --gram");
}

bool whole_numbers(const Tensor& y) { return at::isIntegralType(y.scalar_type(), /*includeBool=*/true); }

/// Integers in the order of their size as class names.
std::vector<std::string> names_of(const Tensor& y) {
  const Tensor labels = y.to(at::kLong).contiguous();
  const std::set<int64_t> different(labels.const_data_ptr<int64_t>(), labels.const_data_ptr<int64_t>() + labels.numel());
  std::vector<std::string> names;
  for (const int64_t label : different) names.push_back(std::to_string(label));
  return names;
}

Tensor indices_in(const Tensor& y, const std::vector<std::string>& classes, const std::string& path) {
  const Tensor labels = y.to(at::kLong).contiguous();
  std::vector<int64_t> indices;
  for (int64_t i = 0; i < labels.numel(); ++i) {
    const std::string name = std::to_string(labels.const_data_ptr<int64_t>()[i]);
    const auto found = std::find(classes.begin(), classes.end(), name);
    if (found == classes.end())
      throw InvalidInput(fmt::format("machine: {} has the label {} in row {}, but the classes are {}", path, name, i, fmt::join(classes, ", ")));
    indices.push_back(found - classes.begin());
  }
  return at::tensor(indices, at::kLong);
}

void read_files(const MachineDataOptions& o, MachineData& data) {
  if (!o.x.empty()) data.inputs = read_inputs(o.x);
  if (!o.gram.empty()) data.gram = read_rows(o.gram);
  if (!o.gram_diagonal.empty()) data.gram_diagonal = read_rows(o.gram_diagonal);
}

}  // namespace

void MachineDataOptions::add_to(CLI::App& command, bool fitting) {
  add_data_options(command, source);
  command.get_option("--data")->default_str("");
  if (!fitting) command.add_option("--part", part, "Of --data: which part")->check(CLI::IsMember({"train", "test"}))->capture_default_str();
  command.add_option("--targets", source.targets, "CSV only: the column to predict as classes or numbers")->check(CLI::IsMember({"auto", "classes", "numbers"}))->capture_default_str();
  command.add_option("--x", x, "Inputs: .npy, [n, d], or [n, C, H, W] for convolutions");
  command.add_option("--y", y, "Targets of --x or --gram: .npy, [n] of integers for classes, [n] or [n, k] of floating point numbers");
  command.add_option("--gram", gram, fitting ? "In place of inputs and a kernel: a Gram matrix from anywhere, .npy [n, n]" : "In place of inputs: the kernel between queries and examples, .npy [m, n]");
  if (!fitting) command.add_option("--gram-diagonal", gram_diagonal, "k(x, x) of the queries, .npy [m]; wanted by Gaussian processes with --gram");
}

MachineData read_training(const MachineDataOptions& o, bool wants_targets) {
  check_source(o, wants_targets);
  MachineData data;
  if (!o.source.location.empty()) {
    const Dataset train = load(o.source).train;
    return {train.inputs.to(at::kDouble), {}, {}, train.is_classification() ? train.targets : train.targets.to(at::kDouble), train.class_names};
  }
  read_files(o, data);
  if (o.y.empty()) return data;
  const Tensor y = read_rows(o.y);
  const int64_t rows = data.gram.defined() ? data.gram.size(0) : data.inputs.size(0);
  if (y.size(0) != rows)
    throw InvalidInput(fmt::format("machine: {} is {}, but {} has {} rows; one target for each example is expected", o.y, describe(y), o.x.empty() ? o.gram : o.x, rows));
  if (y.dim() == 1 && whole_numbers(y)) {
    data.classes = names_of(y);
    data.targets = indices_in(y, data.classes, o.y);
  } else {
    data.targets = y.to(at::kDouble);
  }
  return data;
}

MachineData read_queries(const MachineDataOptions& o, const std::vector<std::string>& classes, bool wants_targets) {
  check_source(o, wants_targets);
  MachineData data;
  if (!o.source.location.empty()) {
    const TrainTest parts = load(o.source);
    const Dataset& part = o.part == "train" ? parts.train : parts.test;
    if (part.size() == 0) throw InvalidInput(fmt::format("machine: {} has no {} part", o.source.location, o.part));
    if (wants_targets && part.class_names != classes)
      throw InvalidInput(fmt::format("machine: {} has {}, but the machine was fitted to {}", part.name,
                                     part.class_names.empty() ? "numbers to predict" : fmt::format("the classes {}", fmt::join(part.class_names, ", ")),
                                     classes.empty() ? "numbers" : fmt::format("the classes {}", fmt::join(classes, ", "))));
    return {part.inputs.to(at::kDouble), {}, {}, part.is_classification() ? part.targets : part.targets.to(at::kDouble), part.class_names};
  }
  read_files(o, data);
  if (o.y.empty()) return data;
  const Tensor y = read_rows(o.y);
  if (!classes.empty() && (y.dim() != 1 || !whole_numbers(y)))
    throw InvalidInput(fmt::format("machine: {} is {}, but the machine predicts classes; integers [m] are expected", o.y, describe(y)));
  data.targets = classes.empty() ? y.to(at::kDouble) : indices_in(y, classes, o.y);
  data.classes = classes;
  return data;
}

}  // namespace pathkernel::cli
