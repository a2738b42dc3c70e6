#include "text_table.h"

#include <pathkernel/explain/answers.h>

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace pathkernel::cli {
namespace {

/// Letters, not bytes, of UTF-8.
size_t width(const std::string& s) {
  return static_cast<size_t>(std::count_if(s.begin(), s.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

}  // namespace

TextTable::TextTable(const std::vector<std::string>& columns) {
  std::vector<std::string> head;
  for (const std::string& name : columns) {
    right_.push_back(!name.empty() && name[0] == '>');
    head.push_back(right_.back() ? name.substr(1) : name);
  }
  rows_.push_back(std::move(head));
}

void TextTable::row(std::vector<std::string> cells) {
  cells.resize(right_.size());
  rows_.push_back(std::move(cells));
}

std::string TextTable::str(int indent) const {
  std::vector<size_t> widths(right_.size(), 0);
  for (const auto& row : rows_)
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], width(row[i]));
  std::string text;
  for (const auto& row : rows_) {
    std::string line(static_cast<size_t>(indent), ' ');
    for (size_t i = 0; i < row.size(); ++i) {
      const std::string space(widths[i] - width(row[i]), ' ');
      line += (i ? "  " : "") + (right_[i] ? space + row[i] : row[i] + space);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + '\n';
  }
  return text;
}

std::string signed_number(double x) {
  if (x == 0) return "0";
  if (std::abs(x) >= 1e6 || std::abs(x) < 5e-4) return fmt::format("{:+.2e}", x);
  return fmt::format("{:+.4f}", x);
}

std::string number_cell(double x, std::string_view format) {
  if (std::isnan(x)) return "–";
  if (std::abs(x) >= 1e6) return fmt::format("{:.4g}{}", x, format.substr(format.find('}') + 1));
  return fmt::format(fmt::runtime(format), x);
}

std::string percent(double share) {
  const double p = 100 * share;
  if (p != 0 && p < 0.01) return fmt::format("{:.0e} %", p);
  return number_cell(p, p < 1 ? "{:.2f} %" : "{:.1f} %");
}

std::string class_cell(const std::vector<std::string>& class_names, int64_t k) { return k < 0 ? "–" : class_name(class_names, k); }

}  // namespace pathkernel::cli
