#include <pathkernel/core/error.h>
#include <pathkernel/core/parse_number.h>
#include <pathkernel/train/named_number.h>

#include <fmt/format.h>

#include <cmath>

namespace pathkernel {

NamedNumber parse_named_number(const std::string& what, const std::string& text) {
  const size_t colon = text.find(':');
  if (colon == std::string::npos) return {text, {}};
  const auto number = parse_number<double>(std::string_view(text).substr(colon + 1));
  if (!number || !std::isfinite(*number))
    throw InvalidInput(fmt::format("{} \"{}\": expected a number behind the colon, but got \"{}\"", what, text, text.substr(colon + 1)));
  return {text.substr(0, colon), number};
}

}  // namespace pathkernel
