#include <pathkernel/core/error.h>
#include <pathkernel/train/named_number.h>

#include <fmt/format.h>

#include <charconv>
#include <cmath>

namespace pathkernel {

NamedNumber parse_named_number(const std::string& what, const std::string& text) {
  const size_t colon = text.find(':');
  if (colon == std::string::npos) return {text, {}};
  double number = 0;
  const char *begin = text.data() + colon + 1, *end = text.data() + text.size();
  const auto [stopped, error] = std::from_chars(begin, end, number);
  if (error != std::errc{} || stopped != end || !std::isfinite(number))
    throw InvalidInput(fmt::format("{} \"{}\": expected a number behind the colon, but got \"{}\"", what, text, text.substr(colon + 1)));
  return {text.substr(0, colon), number};
}

}  // namespace pathkernel
