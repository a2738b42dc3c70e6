#pragma once

#include <CLI/CLI.hpp>

#include <stdexcept>

namespace pathkernel::cli {

/// A ledger's residual is above --tolerance: an outcome, expected of rules that are not complete.
class ToleranceExceeded : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// The work was stopped by Ctrl-C or SIGTERM, and can go on where it was.
class Interrupted : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Each adds one subcommand to the program; its callback does the work. Errors travel as exceptions to main, which prints them
/// and turns them into the documented exit code (docs/exit_codes.md): 0 done; 1 a bug; 2 wrong command line; 3 bad input
/// (InvalidInput, CorruptData); 4 replay differs (ReplayMismatch); 5 training diverged (Diverged); 6 interrupted (Interrupted).
void add_train(CLI::App& app);
void add_resume(CLI::App& app);
void add_retrain(CLI::App& app);
void add_compare(CLI::App& app);
void add_verify(CLI::App& app);
void add_info(CLI::App& app);
void add_explain(CLI::App& app);
void add_show(CLI::App& app);
void add_report(CLI::App& app);
void add_audit(CLI::App& app);
void add_theorem(CLI::App& app);
void add_spectrum(CLI::App& app);
void add_kernel(CLI::App& app);
void add_tangent(CLI::App& app);
void add_evolution(CLI::App& app);
void add_fidelity(CLI::App& app);
void add_taylorise(CLI::App& app);
void add_machine(CLI::App& app);

}  // namespace pathkernel::cli
