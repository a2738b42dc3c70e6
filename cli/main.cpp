#include "commands.h"
#include "suggestions.h"

#include <fmt/format.h>

int main(int argc, char** argv) {
  CLI::App app("Records how a network was trained, and writes any prediction as a sum over its training examples.", "pathkernel");
  app.set_version_flag("--version", "pathkernel " PATHKERNEL_VERSION);
  pathkernel::cli::add_show(app);
  pathkernel::cli::add_report(app);
  pathkernel::cli::add_theorem(app);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);
    fmt::print(stderr, "pathkernel: {}\n", pathkernel::cli::explain_parse_error(app, error));
    return 2;
  }
}
