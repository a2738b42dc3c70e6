#include "step_list.h"

#include <pathkernel/data/row_ranges.h>

#include <sstream>

namespace pathkernel::cli {

std::vector<int64_t> parse_step_list(const std::string& text, const std::string& what) {
  std::vector<int64_t> steps;
  std::stringstream pieces(text);
  for (std::string piece; std::getline(pieces, piece, ',');) {
    const RowRange range = parse_row_range(piece, what);
    for (int64_t s = range.first; s <= range.last; ++s) steps.push_back(s);
  }
  return steps;
}

}  // namespace pathkernel::cli
