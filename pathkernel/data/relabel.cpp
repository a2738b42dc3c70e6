#include <pathkernel/data/relabel.h>

#include <pathkernel/core/error.h>
#include <pathkernel/core/files.h>
#include <pathkernel/core/hash.h>
#include <pathkernel/core/parse_number.h>
#include <pathkernel/data/csv.h>
#include <pathkernel/data/row_ranges.h>

#include <ATen/ops/full.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <memory>
#include <set>

namespace pathkernel {
namespace {

int64_t class_of(const Dataset& dataset, const Relabelling& change) {
  const auto& names = dataset.class_names;
  const auto found = std::find(names.begin(), names.end(), change.label);
  if (found == names.end())
    throw InvalidInput(fmt::format("{}: example {} is to have the label '{}', which is none of the classes: {}", dataset.name, change.example, change.label,
                                   fmt::join(names, ", ")));
  return found - names.begin();
}

/// Another source's examples, some with other labels.
class RelabelledSource : public ExampleSource {
 public:
  /// @param labels  of examples by their numbers: a class or the number to be predicted
  RelabelledSource(std::shared_ptr<const ExampleSource> source, std::map<int64_t, double> labels) : source_(std::move(source)), labels_(std::move(labels)) {}
  int64_t size() const override { return source_->size(); }

  Batch take(const Tensor& indices, uint64_t random_seed) const override {
    Batch batch = source_->take(indices, random_seed);
    batch.targets = batch.targets.clone();
    for (int64_t k = 0; k < batch.size(); ++k)
      if (const auto found = labels_.find(indices[k].item<int64_t>()); found != labels_.end()) batch.targets[k].fill_(found->second);
    return batch;
  }

  uint64_t fingerprint() const override {
    Tensors all = {at::full({1}, static_cast<int64_t>(source_->fingerprint()), at::kLong)};
    for (const auto& [example, label] : labels_) all.insert(all.end(), {at::full({1}, example, at::kLong), at::full({1}, label, at::kDouble)});
    return hash_of(all);
  }

 private:
  std::shared_ptr<const ExampleSource> source_;
  std::map<int64_t, double> labels_;
};

double number_of(const Dataset& dataset, const Relabelling& change) {
  const auto number = parse_number<double>(change.label);
  if (!number || !std::isfinite(*number))
    throw InvalidInput(fmt::format("{}: example {} is to have the label '{}', but what is predicted here are numbers", dataset.name, change.example, change.label));
  return *number;
}

/// Calls `row` with the fields of the columns asked for and the line; every record of the file must have them.
void for_each_row(const std::string& path, const std::vector<std::string>& columns, const std::function<void(const std::vector<std::string>&, int64_t)>& row) {
  std::vector<size_t> places;
  for_each_csv_record(path, read_file(path), [&](const std::vector<std::string>& fields, int64_t line) {
    if (places.empty()) {
      for (const std::string& column : columns) {
        const auto found = std::find(fields.begin(), fields.end(), column);
        if (found == fields.end())
          throw InvalidInput(fmt::format("{} has no column '{}'; its first line should name the columns {}, but is: {}", path, column, fmt::join(columns, " and "),
                                         fmt::join(fields, ",")));
        places.push_back(static_cast<size_t>(found - fields.begin()));
      }
      return;
    }
    std::vector<std::string> wanted;
    for (const size_t place : places) {
      if (place >= fields.size()) throw InvalidInput(fmt::format("{}, line {}: {} fields, fewer than the first line names", path, line, fields.size()));
      wanted.push_back(fields[place]);
    }
    row(wanted, line);
  });
}

/// "3,5,9-12" and the like, with any white space.
std::vector<int64_t> parse_list(const std::string& text, const std::string& where, int64_t count) {
  std::vector<int64_t> examples;
  std::string piece;
  bool comment = false;
  const auto close = [&] {
    if (piece.empty()) return;
    const RowRange range = parse_row_range(piece, where, count);
    for (int64_t k = range.first; k <= range.last; ++k) examples.push_back(k);
    piece.clear();
  };
  for (const char c : text) {
    if (c == '\n') comment = false;
    if (c == '#') comment = true;
    if (comment || c == ',' || c == ' ' || c == '\t' || c == '\r' || c == '\n') close();
    else piece += c;
  }
  close();
  return examples;
}

}  // namespace

Dataset relabelled(const Dataset& dataset, const std::vector<Relabelling>& changes) {
  if (changes.empty()) return dataset;
  const bool one_each = dataset.targets.defined() && (dataset.targets.dim() == 1 || (dataset.targets.dim() == 2 && dataset.targets.size(1) == 1));  // [N] or [N, 1]
  if (!one_each)
    throw InvalidInput(fmt::format("{}: its targets are {}; only examples with one label each can be given another", dataset.name,
                                   dataset.targets.defined() ? describe(dataset.targets) : "known only when they are drawn"));
  Dataset changed = dataset;
  changed.targets = dataset.targets.clone();
  std::map<int64_t, double> labels;
  for (const Relabelling& change : changes) {
    if (change.example < 0 || change.example >= dataset.size())
      throw InvalidInput(fmt::format("{}: example {} is to have another label, but there are {}, counted from 0", dataset.name, change.example, dataset.size()));
    const double label = dataset.is_classification() ? static_cast<double>(class_of(dataset, change)) : number_of(dataset, change);
    changed.targets[change.example] = label;
    labels[change.example] = label;
  }
  if (dataset.source) changed.source = std::make_shared<RelabelledSource>(dataset.source, std::move(labels));
  return changed;
}

std::vector<Relabelling> read_relabellings(const std::string& path) {
  std::vector<Relabelling> changes;
  std::set<int64_t> named;
  for_each_row(path, {"example", "label"}, [&](const std::vector<std::string>& fields, int64_t line) {
    changes.push_back({parse_row(fields[0], fmt::format("{}, line {}", path, line)), fields[1]});
    if (!named.insert(changes.back().example).second) throw InvalidInput(fmt::format("{}, line {}: example {} is named a second time; give it one label", path, line, fields[0]));
  });
  if (changes.empty()) throw InvalidInput(fmt::format("{} names no examples: expected a line example,label and one line for each", path));
  return changes;
}

std::vector<int64_t> read_examples(const std::string& list_or_file, int64_t count) {
  std::vector<int64_t> examples;
  if (list_or_file.find_first_not_of("0123456789,- ") == std::string::npos) {
    examples = parse_list(list_or_file, fmt::format("'{}'", list_or_file), count);
  } else if (list_or_file.ends_with(".csv")) {
    for_each_row(list_or_file, {"example"}, [&](const std::vector<std::string>& fields, int64_t line) {
      examples.push_back(parse_row(fields[0], fmt::format("{}, line {}", list_or_file, line), count));
    });
  } else {
    examples = parse_list(read_file(list_or_file), list_or_file, count);
  }
  if (examples.empty()) throw InvalidInput(fmt::format("'{}' names no examples; write for example 3,5,9-12", list_or_file));
  std::sort(examples.begin(), examples.end());
  examples.erase(std::unique(examples.begin(), examples.end()), examples.end());
  return examples;
}

std::string brief_list(const std::vector<int64_t>& examples) {
  std::string text;
  for (size_t i = 0; i < examples.size();) {
    size_t end = i;
    while (end + 1 < examples.size() && examples[end + 1] == examples[end] + 1) ++end;
    text += (text.empty() ? "" : ",") + (end == i ? fmt::format("{}", examples[i]) : fmt::format("{}-{}", examples[i], examples[end]));
    i = end + 1;
  }
  return text;
}

}  // namespace pathkernel
