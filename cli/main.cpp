#include "commands.h"
#include "suggestions.h"

#include <pathkernel/core/allocation.h>
#include <pathkernel/core/error.h>

#include <c10/util/Exception.h>
#include <fmt/format.h>

#include <csignal>
#include <cstdio>
#include <new>

namespace {

using namespace pathkernel;

/// docs/exit_codes.md
enum ExitCode { done = 0, bug = 1, wrong_command_line = 2, bad_input = 3, replay_differs = 4, diverged = 5, interrupted = 6 };

constexpr const char* out_of_memory = "out of memory; try a smaller --model, --batch, --limit or --memory, or fewer --queries";

int fail(ExitCode code, const std::string& message) {
  fmt::print(stderr, "pathkernel: {}\n", message);
  return code;
}

/// Help and version are no failures; every other parse error is a wrong command line, with the nearest thing that exists.
int report(const CLI::App& app, const CLI::ParseError& error) {
  if (error.get_exit_code() == 0) return app.exit(error);
  return fail(wrong_command_line, cli::explain_parse_error(app, error));
}

int run(CLI::App& app, int argc, char** argv) {
  try {
    app.parse(argc, argv);
    return done;
  } catch (const CLI::ParseError& error) {
    return report(app, error);
  } catch (const ReplayMismatch& error) {
    return fail(replay_differs, error.what());
  } catch (const Diverged& error) {
    return fail(diverged, error.what());
  } catch (const cli::Interrupted& error) {
    return fail(interrupted, error.what());
  } catch (const cli::ToleranceExceeded& error) {
    return fail(bug, error.what());
  } catch (const InvalidInput& error) {
    return fail(bad_input, error.what());
  } catch (const std::bad_alloc&) {
    return fail(bad_input, out_of_memory);
  } catch (const c10::Error& error) {
    const std::string message = error.what_without_backtrace();  // torch's allocator throws no class of its own
    if (message.find("can't allocate memory") != std::string::npos) return fail(bad_input, out_of_memory);
    return fail(bug, fmt::format("internal error, please report it: {}", message));
  } catch (const std::exception& error) {
    return fail(bug, fmt::format("internal error, please report it: {}", error.what()));
  }
}

}  // namespace

int main(int argc, char** argv) {
  pathkernel::keep_freed_memory();
  std::signal(SIGXFSZ, SIG_IGN);  // a file that may not grow any more is then an error with a message, as a full disk is
  CLI::App app("Records how a network was trained, and writes any prediction as a sum over its training examples.", "pathkernel");
  app.set_version_flag("--version", "pathkernel " PATHKERNEL_VERSION);
  app.require_subcommand(1);
  app.footer("Example:\n"
             "  pathkernel train --data mnist --model lenet --lr 0.01 --momentum 0.9 --out runs/lenet\n"
             "  pathkernel verify runs/lenet\n"
             "`pathkernel COMMAND --help` shows the options of a command, with an example. Exit codes: docs/exit_codes.md.");
  cli::add_train(app);
  cli::add_resume(app);
  cli::add_retrain(app);
  cli::add_compare(app);
  cli::add_verify(app);
  cli::add_info(app);
  cli::add_explain(app);
  cli::add_show(app);
  cli::add_report(app);
  cli::add_audit(app);
  cli::add_theorem(app);
  cli::add_spectrum(app);
  cli::add_kernel(app);
  cli::add_tangent(app);
  cli::add_evolution(app);
  cli::add_fidelity(app);
  cli::add_taylorise(app);
  cli::add_machine(app);
  return run(app, argc, argv);
}
