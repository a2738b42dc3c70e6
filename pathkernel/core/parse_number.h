#pragma once

#include <charconv>
#include <optional>
#include <string_view>

namespace pathkernel {

/// "12", "-3", "1e-4": the number that the whole text is, whatever the locale; nothing where it is none, is followed or preceded by
/// anything (white space, a sign +), or does not fit. For a floating point Number "inf" and "nan" are numbers too.
template <class Number>
std::optional<Number> parse_number(std::string_view text) {
  Number number{};
  const char* end = text.data() + text.size();
  const auto [stopped, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc{} || stopped != end) return {};
  return number;
}

}  // namespace pathkernel
