#include <pathkernel/core/json.h>

#include <pathkernel/core/error.h>

#include <fmt/format.h>

#include <cstdint>
#include <limits>

namespace pathkernel {
namespace {

using Json = nlohmann::json;

constexpr int deepest = 32;
constexpr const char* advice = "it was damaged after it was written: restore it from a copy, or make it again";

bool is_int64(const Json& value) {
  constexpr auto most = static_cast<uint64_t>(std::numeric_limits<int64_t>::max());
  return value.is_number_unsigned() ? value.get<uint64_t>() <= most : value.is_number_integer();
}

}  // namespace

Json parse_json(const std::string& text, const std::string& what) {
  const auto watch = [&](int depth, Json::parse_event_t, Json&) {
    if (depth > deepest) throw CorruptData(fmt::format("{} is nested more than {} levels deep; {}", what, deepest, advice));
    return true;
  };
  try {
    return Json::parse(text, watch);
  } catch (const Json::exception& error) {
    throw CorruptData(fmt::format("{} is not valid JSON ({}); {}", what, error.what(), advice));
  }
}

void require_integers(const Json& object, std::initializer_list<const char*> keys, const std::string& what) {
  for (const char* key : keys)
    if (object.is_object() && object.contains(key) && !is_int64(object[key]))
      throw CorruptData(fmt::format("{}: \"{}\" is {}, expected an integer", what, key, object[key].dump()));
}

}  // namespace pathkernel
