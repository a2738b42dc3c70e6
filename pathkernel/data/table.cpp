#include <pathkernel/data/table.h>

#include <pathkernel/core/error.h>
#include <pathkernel/core/files.h>
#include <pathkernel/core/parse_number.h>
#include <pathkernel/data/csv.h>
#include <pathkernel/data/text.h>

#include <ATen/ops/empty.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>
#include <map>
#include <optional>
#include <set>

namespace pathkernel {
namespace {

constexpr size_t most_integer_classes = 100;

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

/// " +1.5" -> "1.5"
std::string_view bare(std::string_view text) {
  text = trimmed(text);
  if (text.size() > 1 && text[0] == '+' && text[1] != '-') text.remove_prefix(1);
  return text;
}

template <class Number>
std::optional<Number> parse(std::string_view text) { return parse_number<Number>(bare(text)); }

/// What a text is that is no finite number, and whether the row is to blame for it rather than the column.
struct Blame {
  const char* what;
  bool row;
};
Blame blame(std::string_view text) {
  text = bare(text);
  if (text.empty()) return {"a missing value", true};
  double number = 0;
  const char* end = text.data() + text.size();
  const auto [stopped, error] = std::from_chars(text.data(), end, number);
  if (stopped != end || error == std::errc::invalid_argument) return {"not a number", false};
  if (error == std::errc{}) return {"not finite", true};
  const bool small = text.find("e-") != text.npos || text.find("E-") != text.npos;
  return {small ? "too small for a float64 (not below 4.9e-324)" : "too large for a float64 (up to 1.8e308)", true};
}

/// The text of a file, as columns: numbers for the inputs, text for the label.
struct Table {
  std::vector<std::string> input_names;
  std::vector<double> inputs;       ///< row after row
  std::vector<std::string> texts;   ///< one per row, in place of numbers
  std::vector<std::string> labels;  ///< one per row
  std::vector<int64_t> lines;       ///< where each row begins in the file
};

class TableReader {
 public:
  TableReader(const std::string& path, const std::string& label_column, const std::string& text_column)
      : path_(path), label_column_(label_column), text_column_(text_column) {}

  Table read() {
    for_each_csv_record(path_, read_file(path_), [this](const std::vector<std::string>& fields, int64_t line) {
      header_.empty() ? take_header(fields) : take_row(fields, line);
    });
    if (table_.lines.empty())
      throw InvalidInput(fmt::format("{} has no rows: expected a line with the names of the columns and rows of values", path_));
    return std::move(table_);
  }

 private:
  void take_header(const std::vector<std::string>& fields) {
    header_ = fields;
    for (std::string& name : header_) name = trimmed(name);
    std::set<std::string> names;
    for (const std::string& name : header_)
      if (!names.insert(name).second) throw InvalidInput(fmt::format("{} has two columns named '{}': rename one", path_, name));
    refuse_other_separators();
    if (label_column_.empty())
      throw InvalidInput(fmt::format("{}: which column is to be predicted? Name it with --label. The columns are: {}", path_, fmt::join(header_, ", ")));
    label_ = place_of(label_column_, "to predict; choose one with --label");
    if (header_.size() < 2) throw InvalidInput(fmt::format("{} has no column besides '{}': nothing to predict from", path_, label_column_));
    if (!text_column_.empty()) {
      text_ = place_of(text_column_, "with text; choose one with --text");
      if (text_ == label_) throw InvalidInput(fmt::format("{}: the column '{}' is to be the text and what is predicted from it; name two", path_, text_column_));
      return;
    }
    for (size_t c = 0; c < header_.size(); ++c)
      if (c != label_) table_.input_names.push_back(header_[c]);
  }

  /// A header that is one column by its commas, and several by another separator.
  void refuse_other_separators() const {
    if (header_.size() > 1) return;
    for (const auto& [separator, name] : {std::pair{';', "semicolons"}, {'\t', "tabs"}}) {
      if (header_[0].find(separator) == std::string::npos) continue;
      throw InvalidInput(fmt::format("{}: its columns seem to be separated by {}, but are read with commas between them; write the table with "
                                     "commas, and decimal numbers with points (1.5)", path_, name));
    }
  }

  size_t place_of(const std::string& column, const char* what) const {
    const auto found = std::find(header_.begin(), header_.end(), column);
    if (found == header_.end())
      throw InvalidInput(fmt::format("{} has no column '{}' {}. Its columns are: {}", path_, column, what, fmt::join(header_, ", ")));
    return static_cast<size_t>(found - header_.begin());
  }

  void take_row(const std::vector<std::string>& fields, int64_t line) {
    if (fields.size() != header_.size())
      throw InvalidInput(fmt::format("{}, line {}: {} fields, but the header names {} columns", path_, line, fields.size(),
                                     header_.size()));
    if (!text_column_.empty()) table_.texts.push_back(fields[text_]);
    else take_numbers(fields, line);
    if (trimmed(fields[label_]).empty())
      throw InvalidInput(fmt::format("{}, line {}: the label column '{}' is empty; leave the row out", path_, line, label_column_));
    table_.labels.emplace_back(trimmed(fields[label_]));
    table_.lines.push_back(line);
  }

  void take_numbers(const std::vector<std::string>& fields, int64_t line) {
    for (size_t c = 0; c < fields.size(); ++c) {
      if (c == label_) continue;
      const std::optional<double> number = parse<double>(fields[c]);
      if (!number || !std::isfinite(*number)) {
        const Blame found = blame(fields[c]);
        throw InvalidInput(fmt::format("{}, line {}, column '{}': '{}' is {}; every column but the label must hold numbers: "
                                       "replace it, or leave the {} out", path_, line, header_[c], fields[c], found.what,
                                       found.row ? "row" : "column"));
      }
      table_.inputs.push_back(*number);
    }
  }

  const std::string& path_;
  const std::string& label_column_;
  const std::string& text_column_;
  std::vector<std::string> header_;
  size_t label_ = 0, text_ = 0;
  Table table_;
};

/// Names of the classes in order, or nothing when the labels are numbers to be regressed on.
std::optional<std::vector<std::string>> classes_of(const std::string& path, const std::string& column, const Table& table,
                                                   const std::string& targets) {
  if (targets == "numbers") return {};
  const std::set<std::string> distinct(table.labels.begin(), table.labels.end());
  const auto is_integer = [](const std::string& label) { return parse<int64_t>(label).has_value(); };
  const auto is_number = [](const std::string& label) { return parse<double>(label).has_value(); };
  if (std::all_of(distinct.begin(), distinct.end(), is_integer) && (targets == "classes" || distinct.size() <= most_integer_classes)) {
    std::map<int64_t, std::string> sorted;  // 2 before 10; "1" and "+1" are one class
    for (const std::string& label : distinct) sorted.emplace(*parse<int64_t>(label), fmt::format("{}", *parse<int64_t>(label)));
    std::vector<std::string> names;
    for (const auto& [number, name] : sorted) names.push_back(name);
    return names;
  }
  if (std::all_of(distinct.begin(), distinct.end(), is_number)) {
    if (targets != "classes") return {};
    const auto decimal = std::find_if_not(table.labels.begin(), table.labels.end(), is_integer) - table.labels.begin();
    throw InvalidInput(fmt::format("{}, line {}: the label column '{}' is to hold classes, but here '{}', a decimal; write classes as whole "
                                   "numbers or words, or choose a loss for numbers",
                                   path, table.lines[static_cast<size_t>(decimal)], column, table.labels[static_cast<size_t>(decimal)]));
  }
  const bool some_decimal = std::any_of(distinct.begin(), distinct.end(),
                                        [&](const std::string& label) { return is_number(label) && !is_integer(label); });
  const bool many_numbers = static_cast<size_t>(std::count_if(distinct.begin(), distinct.end(), is_number)) > most_integer_classes;
  if (some_decimal || many_numbers) {
    const auto bad = std::find_if_not(table.labels.begin(), table.labels.end(), is_number) - table.labels.begin();
    throw InvalidInput(fmt::format("{}, line {}: the label column '{}' holds numbers, but here '{}'; replace it, or leave the row "
                                   "out", path, table.lines[static_cast<size_t>(bad)], column, table.labels[static_cast<size_t>(bad)]));
  }
  return std::vector<std::string>(distinct.begin(), distinct.end());
}

Tensor class_targets(const std::string& path, const std::string& column, const Table& table,
                     const std::vector<std::string>& classes) {
  std::map<std::string, int64_t> number_of;
  for (size_t c = 0; c < classes.size(); ++c) number_of[classes[c]] = static_cast<int64_t>(c);
  Tensor targets = at::empty({static_cast<int64_t>(table.labels.size())}, at::TensorOptions(at::kLong));
  for (size_t row = 0; row < table.labels.size(); ++row) {
    const std::optional<int64_t> integer = parse<int64_t>(table.labels[row]);
    auto found = number_of.find(table.labels[row]);
    if (found == number_of.end() && integer) found = number_of.find(fmt::format("{}", *integer));
    if (found == number_of.end())
      throw InvalidInput(fmt::format("{}, line {}: '{}' in the label column '{}' is not among the classes of the training part "
                                     "({})", path, table.lines[row], table.labels[row], column, fmt::join(classes, ", ")));
    targets.mutable_data_ptr<int64_t>()[row] = found->second;
  }
  return targets;
}

/// Whether fewer than half of the labels are numbers: then the column was meant otherwise, and it is not a row that is wrong.
bool holds_words(const Table& table) {
  const auto numbers = std::count_if(table.labels.begin(), table.labels.end(), [](const std::string& label) { return parse<double>(label).has_value(); });
  return 2 * static_cast<size_t>(numbers) < table.labels.size();
}

Tensor number_targets(const std::string& path, const std::string& column, const Table& table) {
  Tensor targets = at::empty({static_cast<int64_t>(table.labels.size())}, at::TensorOptions(at::kDouble));
  for (size_t row = 0; row < table.labels.size(); ++row) {
    const std::optional<double> number = parse<double>(table.labels[row]);
    if (number && std::isfinite(*number)) {
      targets.mutable_data_ptr<double>()[row] = *number;
      continue;
    }
    const Blame found = blame(table.labels[row]);
    if (!found.row && holds_words(table))
      throw InvalidInput(fmt::format("{}: the label column '{}' holds words (line {}: '{}'), but regression wants numbers; for classes use "
                                     "cross-entropy, or name a column of numbers with --label",
                                     path, column, table.lines[row], table.labels[row]));
    throw InvalidInput(fmt::format("{}, line {}: '{}' in the label column '{}' is {}; leave the row out", path, table.lines[row],
                                   table.labels[row], column, found.what));
  }
  return targets;
}

Tensor number_inputs(const Table& table) {
  Tensor inputs = at::empty({static_cast<int64_t>(table.lines.size()), static_cast<int64_t>(table.input_names.size())}, at::TensorOptions(at::kDouble));
  std::memcpy(inputs.mutable_data_ptr(), table.inputs.data(), table.inputs.size() * sizeof(double));
  return inputs;
}

Dataset dataset_of(const std::string& path, const std::string& label_column, const TextColumn& text, Table table,
                   const std::optional<std::vector<std::string>>& classes) {
  Dataset dataset;
  dataset.name = path;
  dataset.input_names = table.input_names;
  dataset.inputs = text.name.empty() ? number_inputs(table) : hashed_texts(table.texts, text.buckets);
  dataset.texts = std::move(table.texts);
  if (classes) dataset.class_names = *classes;
  dataset.targets = classes ? class_targets(path, label_column, table, *classes) : number_targets(path, label_column, table);
  return dataset;
}

}  // namespace

Dataset read_table(const std::string& path, const std::string& label_column, const std::string& targets, const TextColumn& text) {
  if (targets != "auto" && targets != "classes" && targets != "numbers")
    throw InvalidInput(fmt::format("{}: targets are read as auto, classes or numbers, but \"{}\" is asked for", path, targets));
  const Table table = TableReader(path, label_column, text.name).read();
  return dataset_of(path, label_column, text, table, classes_of(path, label_column, table, targets));
}

Dataset read_table_like(const std::string& path, const std::string& label_column, const Dataset& like, const TextColumn& text) {
  const Table table = TableReader(path, label_column, text.name).read();
  if (table.input_names != like.input_names)
    throw InvalidInput(fmt::format("{} has the columns {}, but the training part has {}, in this order", path,
                                   fmt::join(table.input_names, ", "), fmt::join(like.input_names, ", ")));
  std::optional<std::vector<std::string>> classes;
  if (like.is_classification()) classes = like.class_names;
  return dataset_of(path, label_column, text, table, classes);
}

}  // namespace pathkernel
