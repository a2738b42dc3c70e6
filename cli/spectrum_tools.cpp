#include "checks.h"
#include "spectrum_options.h"
#include "text_table.h"

#include <pathkernel/core/files.h>
#include <pathkernel/spectrum/hermite.h>
#include <pathkernel/spectrum/learning_curve.h>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace pathkernel::cli {
namespace {

using json = nlohmann::json;

struct HermiteOptions {
  std::string activation;
  int64_t terms = 11;
  bool json = false;
};

void hermite(const HermiteOptions& o) {
  const HermiteActivation activation = hermite_activation(o.activation);
  const std::vector<double> a = hermite_coefficients(activation, o.terms - 1);
  const double reached = hermite_dual(a, 1);
  if (o.json) {
    fmt::print("{}\n", json{{"activation", o.activation}, {"coefficients", a}, {"mean_square", reached}}.dump(1));
    return;
  }
  TextTable table({">n", ">a_n", ">Σ a²"});
  double sum = 0;
  for (size_t n = 0; n < a.size(); ++n) {
    sum += a[n] * a[n];
    table.row({std::to_string(n), fmt::format("{:.15g}", a[n]), fmt::format("{:.6f}", sum)});
  }
  fmt::print("{} = Σ a_n h_n, h_n = He_n/√n!; E[φ(x)φ(y)] = Σ a_n² ρⁿ\n{}", o.activation, table.str(2));
}

struct CurveOptions {
  KernelOptions kernel;
  SphereOptions sphere;
  std::vector<double> target;
  std::vector<int64_t> sizes{10, 30, 100, 300, 1000, 3000, 10000};
  LearningCurveOptions curve;
  std::string output;
  bool json = false;
};

void learning(const CurveOptions& o) {
  const Spectrum spectrum = eigenvalues(o.kernel.kernel(), o.sphere.dim, o.sphere.k_max, o.sphere.spectrum);
  const std::vector<LearningCurvePoint> points = learning_curve(spectrum, o.target, o.sizes, o.curve);
  json list = json::array();
  std::string csv = "n,error,from_target,from_noise,effective_ridge\n";
  std::vector<std::string> columns{">n", ">error", ">of target", ">of noise"};
  for (size_t k = 0; k < o.target.size(); ++k) columns.push_back(fmt::format(">learned of degree {}", k));
  TextTable table(columns);
  for (const LearningCurvePoint& p : points) {
    csv += fmt::format("{},{},{},{},{}\n", p.n, p.error, p.from_target, p.from_noise, p.effective_ridge);
    list.push_back({{"n", p.n}, {"error", p.error}, {"from_target", p.from_target}, {"from_noise", p.from_noise}, {"effective_ridge", p.effective_ridge}, {"learned", p.learned}});
    std::vector<std::string> row{std::to_string(p.n), fmt::format("{:.4g}", p.error), fmt::format("{:.4g}", p.from_target), fmt::format("{:.4g}", p.from_noise)};
    for (const double share : p.learned) row.push_back(percent(share));
    table.row(row);
  }
  if (!o.output.empty()) write_file(o.output, csv);
  if (o.json) fmt::print("{}\n", json{{"kernel", spectrum.kernel.name()}, {"dim", spectrum.dim}, {"points", list}}.dump(1));
  else fmt::print("Expected squared error of kernel ridge regression, {}, d = {}, ridge {}, noise {}\n{}{}", spectrum.kernel.name(), spectrum.dim, o.curve.ridge, o.curve.noise,
                  table.str(2), o.output.empty() ? "" : o.output + "\n");
}

}  // namespace

void add_spectrum_hermite(CLI::App& spectrum) {
  auto o = std::make_shared<HermiteOptions>();
  CLI::App* command = spectrum.add_subcommand("hermite", "Hermite coefficients of an activation");
  command->add_option("activation", o->activation, "relu, abs, step, erf, sin, cos, exp or gelu")->required();
  command->add_option("--terms", o->terms, "How many")->capture_default_str()->check(CLI::Range(1, 2001, "1 to 2001"));
  command->add_flag("--json", o->json, "Print JSON");
  command->footer("Example:\n  pathkernel spectrum hermite gelu --terms 20");
  command->callback([o] { hermite(*o); });
}

void add_spectrum_learning_curve(CLI::App& spectrum) {
  auto o = std::make_shared<CurveOptions>();
  CLI::App* command = spectrum.add_subcommand("learning-curve", "Expected error of kernel ridge regression over the number of examples, from the spectrum alone");
  o->kernel.add_to(*command);
  o->sphere.add_to(*command);
  command->add_option("--target", o->target, "The target's power in degree 0, 1, 2, …, that is the mean square of its part in each")->delimiter(',')->required();
  command->add_option("--sizes", o->sizes, "Numbers of examples")->delimiter(',')->capture_default_str();
  command->add_option("--ridge", o->curve.ridge, "λ of (K + λI)⁻¹y")->capture_default_str()->check(not_negative);
  command->add_option("--noise", o->curve.noise, "Variance of the noise on the labels")->capture_default_str()->check(not_negative);
  command->add_option("-o,--output", o->output, "CSV file");
  command->add_flag("--json", o->json, "Print JSON");
  command->footer("Example:\n  pathkernel spectrum learning-curve ntk --depth 3 --dim 10 --target 0,1,1,0,0.5 --sizes 10,100,1000");
  command->callback([o] { learning(*o); });
}

}  // namespace pathkernel::cli
