#pragma once

#include <CLI/CLI.hpp>

namespace pathkernel::cli {

/// Checks of option values, with messages for people (CLI11's own print the largest double with all its digits).
inline const CLI::Validator positive([](std::string& text) {
  double x = 0;
  return CLI::detail::lexical_cast(text, x) && x > 0 ? std::string{} : text + " is not a number above zero";
}, "POSITIVE");
inline const CLI::Validator not_negative([](std::string& text) {
  double x = 0;
  return CLI::detail::lexical_cast(text, x) && x >= 0 ? std::string{} : text + " is not a number from zero up";
}, "NONNEGATIVE");
/// Every thread asked for is started: a slip of the finger must not take the machine down.
inline const CLI::Range thread_count(1, 1024, "1 to 1024");

}  // namespace pathkernel::cli
