#include <pathkernel/core/error.h>
#include <pathkernel/core/json.h>

#include <gtest/gtest.h>
#include <scratch.h>

#include <string>

namespace pathkernel {
namespace {

TEST(Json, RefusesNestingThatWouldRunOutOfStack) {
  // Found while preparing `make fuzz`: copying and printing such a value ended the process (a ledger.json of 200 kB was enough).
  const std::string brackets(100'000, '[');
  EXPECT_REFUSED(CorruptData, "x.json is nested more than 32 levels deep", parse_json(brackets + std::string(brackets.size(), ']'), "x.json"));
  EXPECT_REFUSED(CorruptData, "nested", parse_json(brackets, "x.json"));
  const std::string allowed = std::string(32, '[') + std::string(32, ']');
  EXPECT_EQ(parse_json(allowed, "x.json").dump(), allowed);
}

TEST(Json, SaysWhatIsNoJson) {
  for (const char* text : {"", "{", "{\"a\":1}x", "\"\xff\"", "nan"}) EXPECT_REFUSED(CorruptData, "x.json is not valid JSON", parse_json(text, "x.json"));
}

TEST(Json, IntegersAreNotMadeOfOtherNumbers) {
  const auto object = parse_json(R"({"a":-7,"b":9223372036854775807,"c":9223372036854775808,"d":1e300,"e":1.0,"f":"1"})", "x");
  EXPECT_NO_THROW(require_integers(object, {"a", "b", "missing"}, "x"));
  EXPECT_NO_THROW(require_integers(parse_json("[1]", "x"), {"a"}, "x"));
  for (const char* key : {"c", "d", "e", "f"}) EXPECT_REFUSED(CorruptData, std::string("x: \"") + key + "\" is ", require_integers(object, {key}, "x"));
}

}  // namespace
}  // namespace pathkernel
