#include <pathkernel/data/folders.h>

#include <pathkernel/core/error.h>
#include <pathkernel/data/idx.h>
#include <pathkernel/data/npy.h>

#include <ATen/ops/empty.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <array>
#include <filesystem>
#include <string_view>

namespace pathkernel {
namespace {

namespace fs = std::filesystem;

/// More classes than this are taken for a mistake (a column of identity numbers).
constexpr int64_t most_classes = 1'000'000;

/// `part` is "train-images" or the like; its two spellings. Empty when there is neither.
std::string idx_path(const std::string& folder, const std::string& part) {
  const std::string dimensions = part.ends_with("images") ? "idx3" : "idx1";
  for (const char* joint : {"-", "."}) {
    const fs::path path = fs::path(folder) / fmt::format("{}{}{}-ubyte", part, joint, dimensions);
    if (fs::exists(path)) return path.string();
  }
  return {};
}

std::string npy_path(const std::string& folder, const std::string& part) {
  const fs::path path = fs::path(folder) / (part + ".npy");
  return fs::exists(path) ? path.string() : std::string();
}

Tensor idx_inputs(const std::string& path) {
  const Tensor raw = read_idx(path);
  if (raw.dim() < 2) throw InvalidInput(fmt::format("{}: found {}, expected images [N, height, width]", path, describe(raw)));
  const Tensor shaped = raw.dim() == 3 ? raw.unsqueeze(1) : raw;
  if (raw.scalar_type() == at::kByte) return shaped.to(at::kFloat).div_(255);
  return shaped.is_floating_point() ? shaped : shaped.to(at::kFloat);
}

Tensor npy_inputs(const std::string& path) {
  const Tensor raw = read_npy(path);
  if (raw.dim() < 1) throw InvalidInput(fmt::format("{}: found {}, expected [N, ...]", path, describe(raw)));
  return raw.scalar_type() == at::kDouble || raw.scalar_type() == at::kFloat ? raw : raw.to(at::kFloat);
}

/// int64 class numbers, or floating point targets.
Tensor targets_of(const std::string& path, Tensor raw) {
  if (raw.dim() == 2 && raw.size(1) == 1) raw = raw.squeeze(1);
  if (raw.is_floating_point() && (raw.dim() == 1 || raw.dim() == 2)) return raw.scalar_type() == at::kHalf ? raw.to(at::kFloat) : raw;
  if (raw.dim() == 1) return raw.to(at::kLong);
  throw InvalidInput(fmt::format("{}: found {}, expected class numbers [N] or floating point [N] or [N, K]", path, describe(raw)));
}

/// "0" … up to the largest label of the training part.
std::vector<std::string> numbered_classes(const std::string& path, const Tensor& labels) {
  const int64_t largest = labels.numel() > 0 ? labels.max().item<int64_t>() : -1;
  if (largest >= most_classes)
    throw InvalidInput(fmt::format("{}: the largest label is {}; classes are numbered 0, 1, 2, … (floating point for regression)",
                                   path, largest));
  std::vector<std::string> names;
  for (int64_t c = 0; c <= largest; ++c) names.push_back(fmt::format("{}", c));
  return names;
}

void check_labels(const std::string& path, const Dataset& part) {
  const int64_t* label = part.targets.const_data_ptr<int64_t>();
  const auto classes = static_cast<int64_t>(part.class_names.size());
  for (int64_t row = 0; row < part.targets.numel(); ++row)
    if (label[row] < 0 || label[row] >= classes)
      throw InvalidInput(fmt::format("{}, row {}: the label {} is not in 0..{} (the classes of the training part)", path, row,
                                     label[row], classes - 1));
}

void check_counts(const std::string& x, const std::string& y, const Dataset& part) {
  if (part.inputs.size(0) != part.targets.size(0))
    throw InvalidInput(fmt::format("{} has {} examples, but {} has {} targets: they must belong together", x, part.inputs.size(0), y,
                                   part.targets.size(0)));
}

/// Where the four files are; empty for one that is missing. `names` are what they are called.
struct Paths {
  std::string train_x, train_y, test_x, test_y;
  std::array<std::string_view, 4> names;
};

/// @throws InvalidInput when one of a pair is missing.
void check_pair(const std::string& x, const std::string& y, std::string_view x_name, std::string_view y_name) {
  if (x.empty() != y.empty())
    throw InvalidInput(fmt::format("{} is there, but {} is missing beside it", x.empty() ? y : x, x.empty() ? x_name : y_name));
}

using ReadInputs = Tensor (*)(const std::string&);
using ReadTargets = Tensor (*)(const std::string&);

/// Reads both parts and makes sure that they fit together.
TrainTest read_parts(const Paths& paths, ReadInputs inputs, ReadTargets targets, std::vector<std::string> class_names) {
  check_pair(paths.train_x, paths.train_y, paths.names[0], paths.names[1]);
  check_pair(paths.test_x, paths.test_y, paths.names[2], paths.names[3]);
  TrainTest parts;
  Dataset& train = parts.train;
  train.inputs = inputs(paths.train_x);
  train.targets = targets_of(paths.train_y, targets(paths.train_y));
  const bool classes = train.targets.scalar_type() == at::kLong;
  if (classes) train.class_names = class_names.empty() ? numbered_classes(paths.train_y, train.targets) : std::move(class_names);
  check_counts(paths.train_x, paths.train_y, train);
  if (classes) check_labels(paths.train_y, train);

  Dataset& test = parts.test;
  test.class_names = train.class_names;
  if (paths.test_x.empty()) {
    test.inputs = train.inputs.narrow(0, 0, 0);
    test.targets = train.targets.narrow(0, 0, 0);
    return parts;
  }
  test.inputs = inputs(paths.test_x);
  test.targets = targets_of(paths.test_y, targets(paths.test_y));
  check_counts(paths.test_x, paths.test_y, test);
  if (test.inputs.sizes().slice(1) != train.inputs.sizes().slice(1) || test.targets.sizes().slice(1) != train.targets.sizes().slice(1) ||
      test.targets.is_floating_point() != train.targets.is_floating_point())
    throw InvalidInput(fmt::format("{} and {} are {} and {}, but the training part is {} and {}: only the number of examples may "
                                   "differ", paths.test_x, paths.test_y, describe(test.inputs), describe(test.targets),
                                   describe(train.inputs), describe(train.targets)));
  if (classes) check_labels(paths.test_y, test);
  return parts;
}

}  // namespace

bool has_idx_files(const std::string& folder) { return !idx_path(folder, "train-images").empty(); }

TrainTest read_idx_folder(const std::string& folder, std::vector<std::string> class_names) {
  const Paths paths = {idx_path(folder, "train-images"), idx_path(folder, "train-labels"), idx_path(folder, "t10k-images"),
                       idx_path(folder, "t10k-labels"),
                       {"train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"}};
  return read_parts(paths, idx_inputs, read_idx, std::move(class_names));
}

bool has_npy_files(const std::string& folder) { return !npy_path(folder, "train_x").empty(); }

TrainTest read_npy_folder(const std::string& folder) {
  const Paths paths = {npy_path(folder, "train_x"), npy_path(folder, "train_y"), npy_path(folder, "test_x"),
                       npy_path(folder, "test_y"), {"train_x.npy", "train_y.npy", "test_x.npy", "test_y.npy"}};
  return read_parts(paths, npy_inputs, read_npy, {});
}

}  // namespace pathkernel
