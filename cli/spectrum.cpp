#include "commands.h"
#include "spectrum_options.h"
#include "text_table.h"

#include <pathkernel/core/files.h>
#include <pathkernel/spectrum/spectrum_report.h>

#include <fmt/format.h>

#include <memory>

namespace pathkernel::cli {
namespace {

struct Options {
  KernelOptions kernel;
  SphereOptions sphere;
  std::string output, plot;
  bool json = false;
};

std::string first_and_last(const Spectrum& s) {
  TextTable table({">k", ">multiplicity", "mu"});
  for (const Eigenvalue& e : s.eigenvalues) {
    const bool shown = e.k <= 5 || e.k >= s.k_max() - 1;
    if (shown) table.row({std::to_string(e.k), e.multiplicity, e.mu});
    else if (e.k == 6) table.row({"…"});
  }
  return table.str(2);
}

std::string decay(const char* parity, const FittedExponent& f, const PredictedDecay& predicted, const ParityDecay& p) {
  const std::string theory = predicted_text(predicted, p);
  if (!f.power_law()) return fmt::format("  {:<5}{}  (theory: {})\n", parity, f.zero || f.known ? fitted_text(f) : "too few eigenvalues to fit: a larger --k-max has more", theory);
  return fmt::format("  {:<5}{}  (theory: {}), from k = {} to {}\n", parity, fitted_text(f), theory, f.first_k, f.last_k);
}

std::string text(const SpectrumReport& r) {
  const PredictedDecay& p = r.predicted;
  std::string t = r.spectrum.full() + "\n" + first_and_last(r.spectrum) + "exponent of k\n" + decay("even", r.fitted.even, p, p.even) + decay("odd", r.fitted.odd, p, p.odd);
  if (p.known) t += fmt::format("  near u = 1 and -1: c₁ = {:.12g} and c₋₁ = {:.12g} at t^{:g}\n", p.c_plus, p.c_minus, p.nu);
  return t;
}

void run(const Options& o) {
  const SpectrumReport report = report_of(eigenvalues(o.kernel.kernel(), o.sphere.dim, o.sphere.k_max, o.sphere.spectrum));
  if (!o.output.empty()) write_file(o.output, to_csv(report.spectrum));
  if (!o.plot.empty()) write_file(o.plot, spectrum_page({report}, fmt::format("Spectrum of the {}", report.spectrum.kernel.name()), 0));
  fmt::print("{}", o.json ? spectra_json({report}) : text(report));
  if (o.json) return;
  for (const std::string& file : {o.output, o.plot})
    if (!file.empty()) fmt::print("{}\n", file);
}

}  // namespace

void add_spectrum(CLI::App& app) {
  auto o = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("spectrum", "Eigenvalues of a kernel on the sphere, to many digits, and how they fall off");
  o->kernel.add_to(*command);
  o->sphere.add_to(*command);
  command->get_option("--dim")->required(false);  // the subcommands have their own
  command->add_option("-o,--output", o->output, "CSV file: k, multiplicity, mu");
  command->add_option("--plot", o->plot, "HTML page: eigenvalues and slopes beside theory's");
  command->add_flag("--json", o->json, "Print JSON");
  command->footer("Examples:\n  pathkernel spectrum ntk --depth 3 --dim 4 --k-max 500 --digits 20 -o mu.csv --plot mu.html\n"
                  "  pathkernel spectrum compare --dim 4 --plot compare.html\n"
                  "docs/deep_equals_shallow.md explains what the numbers mean, docs/spectra.md how they are made.");
  add_spectrum_compare(*command);
  add_spectrum_hermite(*command);
  add_spectrum_learning_curve(*command);
  command->callback([o, command] {
    if (!command->get_subcommands().empty()) return;
    const ZonalKernel kernel = o->kernel.kernel();
    if (command->get_option("--dim")->count() == 0) throw CLI::RequiredError("--dim");
    run(*o);
  });
}

}  // namespace pathkernel::cli
