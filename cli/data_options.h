#pragma once

#include <pathkernel/data/dataset.h>

#include <CLI/CLI.hpp>

namespace pathkernel::cli {

/// --data, --label, --limit
void add_data_options(CLI::App& command, DataSource& source);

}  // namespace pathkernel::cli
