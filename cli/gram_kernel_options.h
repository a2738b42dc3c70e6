#pragma once

#include <pathkernel/kernel/kernel.h>

#include <CLI/CLI.hpp>

#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace pathkernel::cli {

/// A kernel for Gram matrices as the command line names it: its name or an expression, the numbers of a classical kernel as options, --net with its defaults
/// for ntk and nngp.
class GramKernelOptions {
 public:
  /// @param name  how the kernel itself is given: "kernel" for a word of its own, or "--kernel"
  CLI::Option* add_to(CLI::App& command, const std::string& name);

  bool given() const { return !kernel_.empty(); }
  /// @throws InvalidInput for options that do not go with the kernel, and as parse_kernel and parse_network
  KernelPtr make() const;

 private:
  /// "rbf" with --lengthscale 1 2 becomes "rbf:lengthscale=[1 2]".
  std::string with_arguments() const;

  struct Argument { const char* name; std::vector<double> values; CLI::Option* option; };

  std::string kernel_, net_, parametrization_ = "ntk";
  double W_std_ = 1, b_std_ = 0;
  CLI::Option *W_std_option_ = nullptr, *b_std_option_ = nullptr, *parametrization_option_ = nullptr;
  std::vector<std::unique_ptr<Argument>> arguments_;
};

}  // namespace pathkernel::cli
