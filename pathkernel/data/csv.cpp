#include <pathkernel/data/csv.h>

#include <pathkernel/core/error.h>

#include <fmt/format.h>

#include <algorithm>

namespace pathkernel {
namespace {

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
  Scanner scanner(name, text);
  std::vector<std::string> fields;
  while (!scanner.at_end()) {
    const int64_t line = scanner.line();
    if (scanner.record(fields)) record(fields, line);
  }
}

}  // namespace pathkernel
