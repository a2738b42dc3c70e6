#pragma once

#include <pathkernel/data/dataset.h>

#include <CLI/CLI.hpp>

namespace pathkernel::cli {

/// --data, --label, --limit
void add_data_options(CLI::App& command, DataSource& source);

/// Numbers an example's target has: classes, or coordinates for regression.
int64_t outputs_needed(const Dataset& data);

}  // namespace pathkernel::cli
