#include <pathkernel/data/csv.h>

#include <pathkernel/core/error.h>

#include <fmt/format.h>

#include <algorithm>

namespace pathkernel {
namespace {

/// Bytes of the UTF-8 character that `text` starts with; 0 when it starts with none (overlong forms and surrogates are none).
size_t utf8_length(std::string_view text) {
  const auto byte = [&](size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u; };
  const auto follows = [&](size_t i) { return (byte(i) & 0xc0u) == 0x80u; };
  const unsigned first = byte(0), second = byte(1);
  if (first < 0x80) return 1;
  if (first >= 0xc2 && first <= 0xdf) return follows(1) ? 2 : 0;
  if (first >= 0xe0 && first <= 0xef)
    return follows(1) && follows(2) && !(first == 0xe0 && second < 0xa0) && !(first == 0xed && second >= 0xa0) ? 3 : 0;
  if (first >= 0xf0 && first <= 0xf4)
    return follows(1) && follows(2) && follows(3) && !(first == 0xf0 && second < 0x90) && !(first == 0xf4 && second >= 0x90) ? 4 : 0;
  return 0;
}

/// Names of classes end up in files that allow nothing else: it is said now, not after the training.
void check_utf8(const std::string& name, std::string_view text) {
  int64_t line = 1;
  for (size_t length = 0; !text.empty(); text.remove_prefix(length)) {
    length = utf8_length(text);
    if (length == 0)
      throw InvalidInput(fmt::format("{}, line {}: the byte {:02x} is no UTF-8 text; save the file as UTF-8", name, line,
                                     static_cast<unsigned char>(text[0])));
    line += text[0] == '\n';
  }
}

class Scanner {
 public:
  Scanner(const std::string& name, std::string_view text) : name_(name), rest_(text) {}

  int64_t line() const { return line_; }
  bool at_end() const { return rest_.empty(); }

  /// The fields up to the end of the line; false for an empty line.
  bool record(std::vector<std::string>& fields) {
    size_t count = 0;
    bool empty_line = rest_.starts_with('\n') || rest_.starts_with("\r\n");
    do {
      if (count == fields.size()) fields.emplace_back();
      field(fields[count++]);
    } while (accept(','));
    fields.resize(count);
    accept('\r');
    if (!accept('\n') && !at_end()) refuse_quote();
    ++line_;
    return !empty_line;
  }

 private:
  bool accept(char c) {
    if (!rest_.starts_with(c)) return false;
    rest_.remove_prefix(1);
    return true;
  }

  void field(std::string& into) {
    into.clear();
    if (accept('"')) return quoted(into);
    const size_t end = std::min(rest_.find_first_of(",\n\""), rest_.size());
    into.assign(rest_.substr(0, end));
    rest_.remove_prefix(end);
    if (rest_.starts_with('"')) refuse_quote();
    if (into.ends_with('\r')) into.pop_back();
  }

  /// After the opening quote.
  void quoted(std::string& into) {
    const int64_t opened = line_;
    do {
      const size_t end = rest_.find('"');
      if (end == std::string_view::npos)
        throw InvalidInput(fmt::format("{}, line {}: a double quote is opened, but never closed", name_, opened));
      const std::string_view piece = rest_.substr(0, end);
      line_ += std::count(piece.begin(), piece.end(), '\n');
      into += piece;
      rest_.remove_prefix(end + 1);
      if (rest_.starts_with('"')) into += '"';
    } while (accept('"'));
  }

  [[noreturn]] void refuse_quote() const {
    throw InvalidInput(fmt::format("{}, line {}: a double quote stands inside a field, or text after a quoted one; put the whole "
                                   "field in quotes, and double those inside", name_, line_));
  }

  const std::string& name_;
  std::string_view rest_;
  int64_t line_ = 1;
};

}  // namespace

void for_each_csv_record(const std::string& name, std::string_view text, const CsvRecord& record) {
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);  // a byte order mark, as spreadsheets write it
  check_utf8(name, text);
  Scanner scanner(name, text);
  std::vector<std::string> fields;
  while (!scanner.at_end()) {
    const int64_t line = scanner.line();
    if (scanner.record(fields)) record(fields, line);
  }
}

}  // namespace pathkernel
