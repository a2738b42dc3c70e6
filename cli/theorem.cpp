#include "commands.h"

#include <pathkernel/core/files.h>
#include <pathkernel/explain/ledger_file.h>
#include <pathkernel/explain/pages.h>

#include <fmt/format.h>

#include <memory>

namespace pathkernel::cli {
namespace {

struct Options {
  std::string ledger, output = "theorem.html";
  TheoremOptions theorem;
};

}  // namespace

void add_theorem(CLI::App& app) {
  auto o = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("theorem", "Draw a one-dimensional regression as a kernel machine");
  command->add_option("ledger", o->ledger, "Folder that `pathkernel explain` wrote, its queries a grid of x")->required();
  command->add_option("-o,--output", o->output, "The page")->capture_default_str();
  CLI::Option* at = command->add_option("--at", o->theorem.at, "x at which the table opens; the middle of the grid when not given");
  command->footer("Example:\n  pathkernel theorem runs/eight/explain/grid -o theorem.html --at 0.5");
  command->callback([o, at] {
    o->theorem.at_given = at->count() > 0;
    write_file(o->output, theorem_page(load_ledger(o->ledger), o->theorem));
    fmt::print("{}\n", o->output);
  });
}

}  // namespace pathkernel::cli
