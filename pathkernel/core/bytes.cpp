#include <pathkernel/core/bytes.h>

#include <pathkernel/core/error.h>

#include <fmt/format.h>

#include <array>
#include <cctype>
#include <charconv>
#include <cmath>
#include <string_view>

namespace pathkernel {
namespace {

constexpr std::string_view prefixes = "kmgt";

/// Bytes of a unit in lower case; 0 when it is not one.
double bytes_of_unit(std::string_view unit) {
  if (unit.empty() || unit == "b") return 1;
  const size_t power = prefixes.find(unit[0]);
  if (power == std::string_view::npos) return 0;
  const std::string_view rest = unit.substr(1);
  if (rest == "b") return std::pow(1000.0, static_cast<double>(power + 1));
  if (rest.empty() || rest == "i" || rest == "ib") return std::pow(1024.0, static_cast<double>(power + 1));
  return 0;
}

}  // namespace

int64_t parse_bytes(const std::string& text) {
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, std::chars_format::fixed);
  std::string unit;
  for (const char* c = end; c != text.data() + text.size(); ++c)
    if (*c != ' ') unit += static_cast<char>(std::tolower(static_cast<unsigned char>(*c)));
  const double bytes = number * bytes_of_unit(unit);
  // 2^63 itself is a double, but not an int64
  if (error != std::errc{} || !(bytes >= 1) || bytes >= 9223372036854775808.0)
    throw InvalidInput(fmt::format("'{}' is no size in bytes: expected a positive number with KiB, MiB, GiB, KB, MB, GB or "
                                   "nothing after it, for example 4GiB", text));
  return static_cast<int64_t>(bytes);
}

std::string print_bytes(int64_t bytes) {
  if (bytes < 1024) return fmt::format("{} B", bytes);
  constexpr std::array units = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  double number = static_cast<double>(bytes) / 1024;
  size_t unit = 0;
  while (number >= 1024 && unit + 1 < units.size()) number /= 1024, ++unit;
  return fmt::format("{:.1f} {}", number, units[unit]);
}

}  // namespace pathkernel
