#include "spectrum_options.h"
#include "text_table.h"

#include <pathkernel/core/files.h>
#include <pathkernel/spectrum/spectrum_report.h>

#include <fmt/format.h>

#include <cmath>

namespace pathkernel::cli {
namespace {

struct Options {
  SphereOptions sphere;
  std::vector<int64_t> depths{2, 3, 4, 5}, step_depths{3};
  std::string scale = "1", output, plot;
  bool json = false;
};

std::vector<ZonalKernel> kernels(const Options& o) {
  std::vector<ZonalKernel> list{ZonalKernel::laplace(o.scale)};
  for (const int64_t depth : o.depths) list.push_back(ZonalKernel::ntk(depth));
  for (const int64_t depth : o.step_depths) list.push_back(ZonalKernel::step(depth));
  return list;
}

std::string both(const std::string& even, const std::string& odd) { return even == odd ? even : fmt::format("{} even, {} odd", even, odd); }

std::string ratio(const Eigenvalue& a, const Eigenvalue& b) { return a.mu == "0" ? "0" : fmt::format("{:.4g}", std::pow(10.0, a.log10_abs - b.log10_abs)); }

std::string text(const std::vector<SpectrumReport>& reports) {
  const Spectrum& laplace = reports.front().spectrum;
  TextTable table({"kernel", ">exponent, even k", ">odd k", ">theory", ">ν", ">c₁", ">c₋₁", fmt::format(">μ_k/Laplace's, even k ≈ {}", laplace.k_max()), ">odd k"});
  for (const SpectrumReport& r : reports) {
    const int64_t last = r.spectrum.k_max(), even = last - last % 2, odd = last - 1 + last % 2;
    const auto over_laplace = [&](int64_t k) { return ratio(r.spectrum.eigenvalues[static_cast<size_t>(k)], laplace.eigenvalues[static_cast<size_t>(k)]); };
    const PredictedDecay& p = r.predicted;
    table.row({r.spectrum.kernel.name(), fitted_text(r.fitted.even), fitted_text(r.fitted.odd), both(predicted_text(p, p.even), predicted_text(p, p.odd)), fmt::format("{:g}", p.nu),
               fmt::format("{:.6g}", p.c_plus), fmt::format("{:.6g}", p.c_minus), over_laplace(even), over_laplace(odd)});
  }
  return table.str(2);
}

void run(const Options& o) {
  if (o.sphere.k_max < 2) throw CLI::ValidationError(fmt::format("--k-max {}: expected 2 or more, to compare even and odd k", o.sphere.k_max));
  std::vector<SpectrumReport> reports;
  for (const ZonalKernel& kernel : kernels(o)) reports.push_back(report_of(eigenvalues(kernel, o.sphere.dim, o.sphere.k_max, o.sphere.spectrum)));
  if (!o.output.empty()) write_file(o.output, decay_csv(reports));
  if (!o.plot.empty()) write_file(o.plot, spectrum_page(reports, fmt::format("Deep and shallow kernels on the sphere in {} dimensions", o.sphere.dim), 0));
  if (o.json) {
    fmt::print("{}", spectra_json(reports));
    return;
  }
  fmt::print("μ_k ~ k^exponent on S^{} (d = {}), k up to {}\n{}", o.sphere.dim - 1, o.sphere.dim, o.sphere.k_max, text(reports));
  for (const std::string& file : {o.output, o.plot})
    if (!file.empty()) fmt::print("{}\n", file);
}

}  // namespace

void add_spectrum_compare(CLI::App& spectrum) {
  auto o = std::make_shared<Options>();
  CLI::App* command = spectrum.add_subcommand("compare", "Deep equals shallow: ReLU tangent kernels of several depths, Laplace and deep step kernels side by side");
  o->sphere.k_max = 300;
  o->sphere.add_to(*command);
  command->add_option("--depths", o->depths, "Depths of the ReLU NTK")->delimiter(',')->capture_default_str();
  command->add_option("--step-depths", o->step_depths, "Depths of the step kernel")->delimiter(',')->capture_default_str();
  command->add_option("--scale", o->scale, "c of the Laplace kernel exp(-c|x-x'|)")->capture_default_str();
  command->add_option("-o,--output", o->output, "CSV file: fitted and predicted exponents");
  command->add_option("--plot", o->plot, "HTML page");
  command->add_flag("--json", o->json, "Print JSON");
  command->footer("Example:\n  pathkernel spectrum compare --dim 4 --depths 2,3,5,10 -o exponents.csv --plot compare.html");
  command->callback([o] { run(*o); });
}

}  // namespace pathkernel::cli
