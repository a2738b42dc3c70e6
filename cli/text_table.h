#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace pathkernel::cli {

/// Plain text in aligned columns: words to the left, numbers to the right.
class TextTable {
 public:
  /// @param columns  headings; one that begins with '>' belongs to a column of numbers
  explicit TextTable(const std::vector<std::string>& columns);
  void row(std::vector<std::string> cells);
  std::string str(int indent = 0) const;

 private:
  std::vector<bool> right_;
  std::vector<std::vector<std::string>> rows_;
};

/// "+0.1234", "+3.10e-07", "0": with its sign, four decimals where they say something.
std::string signed_number(double x);
/// As `format` says, such as "{:.3f}" or "{:.0f} %"; from a million on 2.773e+07, where that would be a long row of digits; "–" for what is no number.
std::string number_cell(double x, std::string_view format = "{:.4g}");
/// "12.3 %", "0.04 %", "3e-05 %"
std::string percent(double share);

/// class_name() of explain/answers.h; "–" for a class that is not known.
std::string class_cell(const std::vector<std::string>& class_names, int64_t k);

}  // namespace pathkernel::cli
