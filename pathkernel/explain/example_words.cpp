#include <pathkernel/explain/example_words.h>

#include <fmt/format.h>

namespace pathkernel {

std::string shortened(const std::string& text, size_t most) {
  std::string line;
  size_t letters = 0;
  for (const char c : text) {
    const bool begins_letter = (c & 0xC0) != 0x80;
    if (begins_letter && letters++ == most) return line + "…";
    const bool blank = c == '\n' || c == '\r' || c == '\t';
    line += blank ? ' ' : c;
  }
  return line;
}

std::string example_in_words(const Dataset& dataset, int64_t row, size_t most) {
  if (!dataset.texts.empty()) return "\"" + shortened(dataset.texts[static_cast<size_t>(row)], most) + "\"";
  if (dataset.input_names.empty()) return {};
  const Tensor numbers = (dataset.raw.defined() ? dataset.raw : dataset.inputs)[row].to(at::kDouble).contiguous();
  std::string words;
  for (size_t c = 0; c < dataset.input_names.size(); ++c) {
    const std::string next = fmt::format("{}{} {:.5g}", c > 0 ? ", " : "", dataset.input_names[c], numbers.const_data_ptr<double>()[c]);
    if (c > 0 && words.size() + next.size() > most) return words + ", …";
    words += next;
  }
  return words;
}

}  // namespace pathkernel
