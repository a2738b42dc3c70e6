#include "checks.h"
#include "commands.h"

#include <pathkernel/core/files.h>
#include <pathkernel/explain/ledger_file.h>
#include <pathkernel/explain/pages.h>

#include <fmt/format.h>

#include <filesystem>
#include <memory>

namespace pathkernel::cli {
namespace {

struct Options {
  std::string ledger, output = "report.html";
  ReportOptions report;
};

void run(Options& o) {
  const Ledger ledger = load_ledger(o.ledger);
  const Source source = source_of(ledger);
  o.report.title = fmt::format("Why did it predict this? {}", std::filesystem::path(o.ledger + "/").parent_path().filename().string());
  const std::string page = report_page(ledger, source, o.report);
  write_file(o.output, page);
  fmt::print("{}: {} queries, {:.1f} MB\n", o.output, o.report.queries.empty() ? ledger.query_count() : static_cast<int64_t>(o.report.queries.size()),
             static_cast<double>(page.size()) / 1e6);
  if (!source.data) fmt::print("without pictures of the examples: {}\n", source.missing);
}

}  // namespace

void add_report(CLI::App& app) {
  auto o = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("report", "Write a ledger as one self-contained HTML page");
  command->add_option("ledger", o->ledger, "Folder that `pathkernel explain` wrote")->required();
  command->add_option("-o,--output", o->output, "The page")->capture_default_str();
  command->add_option("--top", o->report.top, "How many training examples to show on each side")->capture_default_str()->check(not_negative);
  command->add_option("--queries", o->report.queries, "Numbers of the queries to show; all when not given")->delimiter(',');
  command->footer("Example:\n  pathkernel report runs/lenet/explain/first16 -o report.html --queries 0,3,5");
  command->callback([o] { run(*o); });
}

}  // namespace pathkernel::cli
