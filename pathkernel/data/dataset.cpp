#include <pathkernel/data/dataset.h>

#include <pathkernel/core/error.h>
#include <pathkernel/core/finite.h>
#include <pathkernel/core/hash.h>
#include <pathkernel/data/folders.h>
#include <pathkernel/data/relabel.h>
#include <pathkernel/data/table.h>

#include <ATen/ops/where.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstdlib>
#include <filesystem>

namespace pathkernel {
namespace {

namespace fs = std::filesystem;

/// A data set that `make data` brings: images in a folder, or a table NAME.csv in it.
struct Known {
  std::string name;
  std::string torchvision_name;  ///< of the folder that torchvision keeps the same files in
  std::vector<std::string> class_names;
  DataSource table = {.location = ""};  ///< of a table: which columns are what
};

const std::vector<Known>& known_sets() {
  static const std::vector<Known> sets = {
      {"mnist", "MNIST", {"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"}},
      {"fashion-mnist", "FashionMNIST", {"t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag",
                                         "ankle boot"}},
      {"digits", "", {"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"}},
      {"breast-cancer", "", {}, {.location = "breast-cancer.csv", .label_column = "diagnosis", .standardise = true}},
      {"wine", "", {}, {.location = "wine.csv", .label_column = "cultivar", .standardise = true}},
      {"diabetes", "", {}, {.location = "diabetes.csv", .label_column = "progression", .standardise = true}},
      {"spam", "", {}, {.location = "spam.csv", .label_column = "label", .text_column = "text"}}};
  return sets;
}

const Known* known_set(const std::string& location) {
  for (const Known& set : known_sets())
    if (location == set.name) return &set;
  return nullptr;
}

std::string names_of_known_sets() {
  std::string names;
  for (const Known& set : known_sets()) names += (names.empty() ? "" : ", ") + set.name;
  return names;
}

bool has_data(const std::string& folder) { return has_idx_files(folder) || has_npy_files(folder); }

bool is_csv(const DataSource& source) { return source.location.ends_with(".csv"); }

bool wants_standardising(const DataSource& source) {
  const Known* known = known_set(source.location);
  return known ? known->table.standardise : source.standardise;
}

/// Folders to look in, the first that holds data wins.
std::vector<std::string> candidates(const Known& set) {
  std::vector<std::string> folders;
  if (const char* own = std::getenv("PATHKERNEL_DATA"); own != nullptr && *own != '\0') {
    folders.push_back((fs::path(own) / set.name).string());
    if (!set.torchvision_name.empty()) folders.push_back((fs::path(own) / set.torchvision_name / "raw").string());
    // bare idx files do not say which set they are: they are taken for MNIST alone
    if (set.name == "mnist") folders.emplace_back(own);
  }
  folders.push_back((fs::path(".cache/data") / set.name).string());
  folders.push_back((fs::path(PATHKERNEL_SOURCE_DIR) / ".cache/data" / set.name).string());
  return folders;
}

TrainTest load_folder(const std::string& folder, const std::vector<std::string>& class_names = {}) {
  return has_idx_files(folder) ? read_idx_folder(folder, class_names) : read_npy_folder(folder);
}

/// (x − mean)/deviation of every column, both of the training part; a column that is the same everywhere becomes 0.
void standardise(TrainTest& parts) {
  const Tensor x = parts.train.inputs, mean = x.mean(0, /*keepdim=*/true);
  const Tensor deviation = (x - mean).square().mean(0, true).sqrt();
  const Tensor scale = at::where(deviation > 0, deviation, 1);
  for (Dataset* part : {&parts.train, &parts.test}) {
    part->raw = part->inputs;
    part->inputs = (part->raw - mean) / scale;
  }
}

TrainTest load_csv(const DataSource& source) {
  const TextColumn text{source.text_column, source.buckets};
  TrainTest parts;
  parts.train = read_table(source.location, source.label_column, source.targets, text);
  const fs::path test = fs::path(source.location).replace_extension(".test.csv");
  if (fs::exists(test)) {
    parts.test = read_table_like(test.string(), source.label_column, parts.train, text);
    return parts;
  }
  parts.test = parts.train;
  parts.test.inputs = parts.train.inputs.narrow(0, 0, 0);
  parts.test.targets = parts.train.targets.narrow(0, 0, 0);
  parts.test.texts.clear();
  return parts;
}

TrainTest load_known(const Known& set, const std::string& targets) {
  const std::vector<std::string> folders = candidates(set);
  for (const std::string& folder : folders) {
    const std::string csv = (fs::path(folder) / set.table.location).string();
    if (!set.table.location.empty() && fs::exists(csv)) {
      DataSource source = set.table;
      source.location = csv;
      source.targets = targets;
      return load_csv(source);
    }
    if (set.table.location.empty() && has_data(folder)) return load_folder(folder, set.class_names);
  }
  throw InvalidInput(fmt::format("the data set {} is in none of: {}. Run `make data`, or set PATHKERNEL_DATA to a folder that has "
                                 "it as {}/", set.name, fmt::join(folders, ", "), set.name));
}

TrainTest load_parts(const DataSource& source) {
  const std::string& location = source.location;
  const bool csv = is_csv(source);
  const Known* known = known_set(location);
  if (!csv && !source.label_column.empty())
    throw InvalidInput(fmt::format("a label column ('{}') belongs to a .csv file, but the data are '{}'", source.label_column,
                                   location));
  if (!csv && (!source.text_column.empty() || source.standardise))
    throw InvalidInput(fmt::format("{} belongs to a .csv file, but the data are '{}'", source.standardise ? "to standardise columns" : "a text column", location));
  if (!source.text_column.empty() && source.standardise)
    throw InvalidInput("hashed texts are not standardised: most of their numbers are 0; leave out --standardise");
  if (!csv && !is_table(source) && source.targets != "auto")
    throw InvalidInput(fmt::format("to read targets as {} is a choice for a .csv file, but the data are '{}', which say themselves what they "
                                   "hold", source.targets, location));
  if (known) return load_known(*known, source.targets);
  if (csv) return load_csv(source);
  if (has_data(location)) return load_folder(location);
  if (fs::is_directory(location))
    throw InvalidInput(fmt::format("the folder {} holds neither train-images-idx3-ubyte and train-labels-idx1-ubyte nor train_x.npy "
                                   "and train_y.npy", location));
  throw InvalidInput(fmt::format("'{}' is no data: expected {}, a folder of idx files or of .npy pairs, or a .csv file", location,
                                 names_of_known_sets()));
}

void check_finite(const Dataset& part) {
  for (const auto& [what, values] : {std::pair{"inputs", part.inputs}, {"targets", part.targets}}) {
    const int64_t row = first_row_not_finite(values);
    if (row >= 0)
      throw InvalidInput(fmt::format("{}: row {} of the {} holds NaN or infinity; replace it or leave the row out", part.name, row,
                                     what));
  }
}

/// "mnist train", "iris.csv test", "my_folder train".
std::string name_of(const std::string& location, const char* part) {
  fs::path path(location);
  if (!path.has_filename()) path = path.parent_path();
  return fmt::format("{} {}", path.filename().string(), part);
}

void check_indices(const Dataset& dataset, const Tensor& indices) {
  if (indices.scalar_type() != at::kLong || indices.dim() != 1)
    throw InvalidInput(fmt::format("take({}): indices are {}, expected int64 [n]", dataset.name, describe(indices)));
  const Tensor here = indices.cpu().contiguous();
  const int64_t* index = here.const_data_ptr<int64_t>();
  for (int64_t i = 0; i < here.numel(); ++i)
    if (index[i] < 0 || index[i] >= dataset.size())
      throw InvalidInput(fmt::format("take({}): example {} is asked for, but there are {}, counted from 0", dataset.name, index[i],
                                     dataset.size()));
}

}  // namespace

bool is_table(const DataSource& source) {
  const Known* known = known_set(source.location);
  return known ? !known->table.location.empty() : is_csv(source);
}

TrainTest load(const DataSource& source) {
  if (source.limit < 0) throw InvalidInput(fmt::format("limit {}: expected 0 (all) or the number of examples to keep", source.limit));
  TrainTest parts = load_parts(source);
  Dataset& train = parts.train;
  train.name = name_of(source.location, "train");
  parts.test.name = name_of(source.location, "test");
  if (train.size() == 0 || train.inputs.numel() == 0)
    throw InvalidInput(fmt::format("{} is empty ({}): nothing to learn from", train.name, describe(train.inputs)));
  if (source.limit > 0 && source.limit < train.size()) {
    train.inputs = train.inputs.narrow(0, 0, source.limit);
    train.targets = train.targets.narrow(0, 0, source.limit);
    if (!train.texts.empty()) train.texts.resize(static_cast<size_t>(source.limit));
  }
  check_finite(train);
  check_finite(parts.test);
  if (wants_standardising(source)) standardise(parts);
  apply(source.flips, train);
  train = relabelled(train, source.relabelled);
  return parts;
}

uint64_t fingerprint(const Dataset& dataset) {
  if (dataset.source) return dataset.source->fingerprint();
  const uint64_t examples = hash_of({dataset.inputs, dataset.targets});
  std::string text = hex(examples);
  for (const std::string& name : dataset.class_names) text += fmt::format(" {}:{}", name.size(), name);
  return hash_of_bytes(text);
}

Batch take(const Dataset& dataset, const Tensor& indices, at::ScalarType dtype, uint64_t random_seed) {
  check_indices(dataset, indices);
  Batch batch;
  if (dataset.source) {
    batch = dataset.source->take(indices, random_seed);
  } else {
    const Tensor rows = indices.to(dataset.inputs.device());
    batch = {{dataset.inputs.index_select(0, rows)}, dataset.targets.index_select(0, rows), indices};
  }
  for (Tensor& input : batch.inputs)
    if (input.is_floating_point()) input = input.to(dtype);
  if (batch.targets.is_floating_point()) batch.targets = batch.targets.to(dtype);
  return batch;
}

}  // namespace pathkernel
