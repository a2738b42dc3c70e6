#pragma once

#include <CLI/CLI.hpp>

#include <string>

namespace pathkernel::cli {

/// What was wrong with a command line, in one or two plain lines; for an unknown option or command, the nearest one there is.
std::string explain_parse_error(const CLI::App& app, const CLI::ParseError& error);

}  // namespace pathkernel::cli
