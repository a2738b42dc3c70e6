#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace pathkernel {

struct RowRange {
  int64_t first = 0, last = 0;  ///< both are in it
};

/// "3" or "9-12": one piece of a list of rows, counted from 0.
/// @param where  for the message: "suspects.csv, line 3"   @param count  rows there are, where that is known
/// @throws InvalidInput naming what is no row number, runs backwards, or is none of 0 … count−1.
RowRange parse_row_range(const std::string& text, const std::string& where, std::optional<int64_t> count = {});

/// "3": parse_row_range() of a single row.
int64_t parse_row(const std::string& text, const std::string& where, std::optional<int64_t> count = {});

}  // namespace pathkernel
