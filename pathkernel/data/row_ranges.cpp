#include <pathkernel/data/row_ranges.h>

#include <pathkernel/core/error.h>
#include <pathkernel/core/parse_number.h>

#include <fmt/format.h>

namespace pathkernel {

int64_t parse_row(const std::string& text, const std::string& where, std::optional<int64_t> count) {
  const std::optional<int64_t> row = parse_number<int64_t>(text);
  if (!row || *row < 0) throw InvalidInput(fmt::format("{}: '{}' is no row number; write for example 3,5,9-12", where, text));
  if (count && *row >= *count) throw InvalidInput(fmt::format("{}: row {} is out of range; there are {} examples (0 to {})", where, *row, *count, *count - 1));
  return *row;
}

RowRange parse_row_range(const std::string& text, const std::string& where, std::optional<int64_t> count) {
  const size_t dash = text.find('-', 1);  // one at the beginning is a sign
  if (dash == std::string::npos) {
    const int64_t row = parse_row(text, where, count);
    return {row, row};
  }
  const RowRange range{parse_row(text.substr(0, dash), where), parse_row(text.substr(dash + 1), where, count)};
  if (range.last < range.first) throw InvalidInput(fmt::format("{}: {} runs backwards", where, text));
  return range;
}

}  // namespace pathkernel
