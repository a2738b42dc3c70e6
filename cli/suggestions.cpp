#include "suggestions.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <numeric>
#include <optional>
#include <vector>

namespace pathkernel::cli {
namespace {

/// Levenshtein distance: insertions, deletions and replacements that turn one word into the other.
size_t edit_distance(const std::string& a, const std::string& b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = std::exchange(row[0], i);
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replaced = diagonal + (a[i - 1] != b[j - 1]);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, replaced});
    }
  }
  return row.back();
}

std::optional<std::string> nearest(const std::string& word, const std::vector<std::string>& known) {
  const auto found = std::min_element(known.begin(), known.end(), [&](const auto& a, const auto& b) {
    return edit_distance(word, a) < edit_distance(word, b);
  });
  if (found == known.end() || edit_distance(word, *found) > std::max<size_t>(2, word.size() / 3)) return std::nullopt;
  return *found;
}

/// The subcommand (of a subcommand) that was being parsed, or the program itself.
const CLI::App& active(const CLI::App& app) {
  const auto chosen = app.get_subcommands();
  return chosen.empty() ? app : active(*chosen.front());
}

std::vector<std::string> options_of(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::Option* option : app.get_options())
    for (const auto& name : option->get_lnames()) names.push_back("--" + name);
  return names;
}

std::vector<std::string> commands_of(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) names.push_back(command->get_name());
  return names;
}

std::string unexpected(const CLI::App& app, const std::string& word) {
  const bool is_option = word.starts_with("-");
  const std::string name = word.substr(0, word.find('='));
  const auto suggestion = nearest(name, is_option ? options_of(app) : commands_of(app));
  const std::string other = suggestion ? fmt::format("; did you mean {}?", *suggestion) : "";
  if (is_option) return fmt::format("unknown option {}{}", name, other);
  if (app.get_parent() != nullptr && app.get_require_subcommand_min() > 0) return fmt::format("{} is none of {}{}", word, fmt::join(commands_of(app), ", "), other);
  return fmt::format("unexpected argument {}{}", name, other);
}

}  // namespace

std::string explain_parse_error(const CLI::App& app, const CLI::ParseError& error) {
  const CLI::App& command = active(app);
  std::string message = error.what();
  for (const std::string& word : app.remaining(/*recurse=*/true)) {
    message = unexpected(command, word);
    break;
  }
  std::string name = command.get_name();
  for (const CLI::App* parent = command.get_parent(); parent != nullptr; parent = parent->get_parent()) name = parent->get_name() + " " + name;
  return fmt::format("{}\nSee {} --help.", message, name);
}

}  // namespace pathkernel::cli
