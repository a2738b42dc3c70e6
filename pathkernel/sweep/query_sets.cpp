#include <pathkernel/sweep/query_sets.h>

#include <ATen/ops/arange.h>
#include <ATen/ops/full.h>
#include <ATen/ops/tensor.h>
#include <fmt/format.h>
#include <pathkernel/core/error.h>
#include <pathkernel/core/parse_number.h>
#include <pathkernel/data/row_ranges.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <unordered_map>
#include <unordered_set>
#include <utility>

namespace pathkernel {
namespace {

std::string trimmed(const std::string& text) {
  const size_t first = text.find_first_not_of(" \t\r");
  return first == std::string::npos ? "" : text.substr(first, text.find_last_not_of(" \t\r") - first + 1);
}

/// One line of a file of sets.
class SetLine {
 public:
  SetLine(const std::string& path, int64_t number, const std::unordered_map<int64_t, int64_t>& place_of_row, int64_t inputs)
      : where_(fmt::format("explain: aggregate {}, line {}", path, number)), place_of_row_(place_of_row), inputs_(inputs) {}

  /// "name: rows"
  QuerySet parse_line(const std::string& line) {
    const size_t colon = line.find(':');
    const std::string name = trimmed(line.substr(0, colon));
    if (colon == std::string::npos || name.empty()) fail(fmt::format("'{}' is no set; write a name, a colon and rows, for example `hard ones: 3,5,9-12`", line));
    return parse_rows(name, line.substr(colon + 1));
  }

  QuerySet parse_rows(const std::string& name, const std::string& text) {
    std::stringstream items(text);
    for (std::string item; std::getline(items, item, ',');) add(trimmed(item));
    if (places_.empty()) fail("the set has no rows");
    const Tensor members = at::tensor(places_, at::kLong);
    return weighted_ ? QuerySet{name, members, at::tensor(weights_, at::kDouble)} : mean_of(name, members);
  }

 private:
  [[noreturn]] void fail(const std::string& why) const { throw InvalidInput(fmt::format("{}: {}", where_, why)); }

  /// "3", "9-12", "17*0.5" or "all"
  void add(const std::string& item) {
    const size_t star = item.find('*');
    double weight = 1;
    if (star != std::string::npos) {
      weighted_ = true;
      const auto number = parse_number<double>(trimmed(item.substr(star + 1)));
      if (!number || !std::isfinite(*number)) fail(fmt::format("'{}' has no weight behind its *", item));
      weight = *number;
    }
    const std::string rows = trimmed(item.substr(0, star));
    if (rows == "all") {
      for (int64_t place = 0; place < inputs_; ++place) take(place, weight, rows);
      return;
    }
    const RowRange range = parse_row_range(rows, where_);
    for (int64_t row = range.first; row <= range.last; ++row) {
      const auto found = place_of_row_.find(row);
      if (found == place_of_row_.end()) fail(fmt::format("row {} is not among the queries; ask for it too", row));
      take(found->second, weight, rows);
    }
  }

  void take(int64_t place, double weight, const std::string& rows) {
    if (!taken_.insert(place).second) fail(fmt::format("'{}' names a row that the set has already", rows));
    places_.push_back(place);
    weights_.push_back(weight);
  }

  std::string where_;
  const std::unordered_map<int64_t, int64_t>& place_of_row_;
  int64_t inputs_;
  std::vector<int64_t> places_;
  std::vector<double> weights_;
  std::unordered_set<int64_t> taken_;
  bool weighted_ = false;
};

}  // namespace

bool QuerySet::is_mean() const { return (weights * double(size()) - 1).abs().max().item<double>() < 1e-9; }

QuerySet mean_of(std::string name, Tensor members) {
  const int64_t k = members.size(0);
  if (k == 0) throw InvalidInput(fmt::format("explain: the set '{}' has no inputs", name));
  return {std::move(name), std::move(members), at::full({k}, 1.0 / double(k), at::kDouble)};
}

std::vector<QuerySet> mean_set(const std::string& specification, const Queries& queries) {
  return {mean_of("mean of " + specification, at::arange(queries.input_count(), at::kLong))};
}

std::vector<QuerySet> sets_by_class(const std::string& specification, const Queries& queries, const std::vector<std::string>& class_names) {
  const Tensor& labels = queries.targets;
  if (class_names.empty() || !labels.defined() || labels.dim() != 1 || at::isFloatingType(labels.scalar_type()))
    throw InvalidInput("explain: aggregate by-class needs queries with class labels, and these have none; use mean, or a file of sets");
  std::vector<QuerySet> sets;
  for (size_t c = 0; c < class_names.size(); ++c) {
    const Tensor members = (labels == int64_t(c)).nonzero().squeeze(1);
    if (members.size(0) > 0) sets.push_back(mean_of(fmt::format("class {} of {}", class_names[c], specification), members));
  }
  return sets;
}

std::vector<QuerySet> sets_from_file(const std::string& path, const Queries& queries) {
  std::ifstream file(path);
  if (!file) throw InvalidInput(fmt::format("explain: aggregate '{}' is neither mean, by-class nor wrong, nor a file that can be read", path));
  std::unordered_map<int64_t, int64_t> place_of_row;
  for (size_t place = 0; place < queries.info.size(); ++place) place_of_row.emplace(queries.info[place].row, int64_t(place));
  std::vector<std::pair<int64_t, std::string>> lines;
  int64_t number = 0;
  for (std::string line; std::getline(file, line);) {
    ++number;
    if (std::string told = trimmed(line.substr(0, line.find('#'))); !told.empty()) lines.emplace_back(number, std::move(told));
  }
  std::vector<QuerySet> sets;
  if (std::any_of(lines.begin(), lines.end(), [](const auto& line) { return line.second.find(':') != std::string::npos; })) {
    for (const auto& [at, line] : lines) sets.push_back(SetLine(path, at, place_of_row, queries.input_count()).parse_line(line));
  } else if (!lines.empty()) {
    std::string rows;
    for (const auto& [at, line] : lines) rows += (rows.empty() ? "" : ",") + line.substr(0, line.find_last_not_of(',') + 1);
    sets.push_back(SetLine(path, lines.front().first, place_of_row, queries.input_count()).parse_rows(std::filesystem::path(path).stem().string(), rows));
  }
  if (sets.empty()) throw InvalidInput(fmt::format("explain: aggregate {} holds no sets; write one a line, for example `hard ones: 3,5,9-12`", path));
  return sets;
}

Queries sample_of_sets(const Queries& queries, int64_t sets, int64_t members) {
  Queries sample = queries;
  sample.sets.resize(size_t(std::min(sets, int64_t(queries.sets.size()))));
  for (QuerySet& set : sample.sets) {
    const int64_t every = (set.size() + members - 1) / members;
    set.members = set.members.slice(0, 0, set.size(), every);
    set.weights = set.weights.slice(0, 0, set.weights.size(0), every);
  }
  return sample;
}

}  // namespace pathkernel
