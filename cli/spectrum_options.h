#pragma once

#include <pathkernel/spectrum/spectrum.h>

#include <CLI/CLI.hpp>

#include <memory>
#include <string>

namespace pathkernel::cli {

/// A kernel as the command line names it: KERNEL, --depth, --scale.
struct KernelOptions {
  std::string name;
  int64_t depth = 0;
  std::string scale = "1";
  CLI::Option *depth_option = nullptr, *scale_option = nullptr;

  void add_to(CLI::App& command);
  /// @throws CLI::ValidationError naming what is missing or does not belong, and for kernels that are not zonal.
  ZonalKernel kernel() const;
};

/// --dim, --k-max, --digits, --nodes
struct SphereOptions {
  int64_t dim = 0, k_max = 100;
  SpectrumOptions spectrum;

  void add_to(CLI::App& command);
};

/// Subcommands of `spectrum`.
void add_spectrum_compare(CLI::App& spectrum);
void add_spectrum_hermite(CLI::App& spectrum);
void add_spectrum_learning_curve(CLI::App& spectrum);

}  // namespace pathkernel::cli
