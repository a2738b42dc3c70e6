#pragma once

#include <nlohmann/json.hpp>

#include <cmath>
#include <initializer_list>
#include <string>

namespace pathkernel {

/// Parses JSON that comes from a file. Nesting beyond 32 levels is refused: none of our formats needs it, and copying, comparing and
/// printing a value recur, so that a file of brackets would run out of stack.
/// @param what  is parsed, for the message: "ledger.json in 'runs/a'"   @throws CorruptData
nlohmann::json parse_json(const std::string& text, const std::string& what);

/// null for what JSON has no number for: infinite, or none.
inline nlohmann::json number_or_null(double x) { return std::isfinite(x) ? nlohmann::json(x) : nlohmann::json(); }

/// Makes sure that those `keys` which `object` has are integers of 64 bits: the library would turn 1e300 into one without a word.
/// @throws CorruptData naming the key and what it holds.
void require_integers(const nlohmann::json& object, std::initializer_list<const char*> keys, const std::string& what);

}  // namespace pathkernel
