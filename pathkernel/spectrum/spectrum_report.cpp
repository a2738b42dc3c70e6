#include <pathkernel/spectrum/spectrum_report.h>

#include <pathkernel/explain/html.h>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>

namespace pathkernel {
namespace {

using json = nlohmann::json;

json number_or_null(double x) { return std::isfinite(x) ? json(x) : json(nullptr); }

const char* source_name(Eigenvalue::Source source) {
  switch (source) {
    case Eigenvalue::Source::closed_form: return "closed form";
    case Eigenvalue::Source::quadrature: return "quadrature";
    default: return "asymptotic";
  }
}

json decay_json(const FittedExponent& f, const PredictedDecay& p, const ParityDecay& parity) {
  json j{{"fitted", nullptr}, {"predicted", nullptr}, {"zero", f.zero}, {"fitted_text", fitted_text(f)}, {"predicted_text", predicted_text(p, parity)}};
  if (f.power_law()) j["fitted"] = {{"exponent", f.exponent}, {"error", f.error}, {"k_from", f.first_k}, {"k_to", f.last_k}, {"correction", f.correction}};
  if (p.known && !parity.zero) j["predicted"] = {{"exponent", parity.exponent}, {"nu", parity.nu}, {"c", parity.c}, {"log10_constant", parity.log10_constant}};
  return j;
}

json summary(const SpectrumReport& r) {
  const Spectrum& s = r.spectrum;
  return {{"name", s.kernel.name()},
          {"dim", s.dim},
          {"k_max", s.k_max()},
          {"digits", s.digits_reached},
          {"working_digits", s.working_digits},
          {"nodes", s.nodes},
          {"brief", s.brief()},
          {"kappa_at_one", s.trace.kappa_at_one},
          {"trace", {{"partial", s.trace.partial}, {"tail_known", s.trace.tail_known}, {"tail", s.trace.tail}, {"gap", s.trace.gap}}},
          {"even", decay_json(r.fitted.even, r.predicted, r.predicted.even)},
          {"odd", decay_json(r.fitted.odd, r.predicted, r.predicted.odd)},
          {"nu", r.predicted.known ? json(r.predicted.nu) : json(nullptr)},
          {"c_plus", r.predicted.known ? json(r.predicted.c_plus) : json(nullptr)},
          {"c_minus", r.predicted.known ? json(r.predicted.c_minus) : json(nullptr)}};
}

/// All k while they are few, then of each parity a dozen a decade: more points cannot be told apart.
std::vector<int64_t> shown(int64_t k_max) {
  std::vector<int64_t> list;
  for (int64_t k = 0; k <= k_max;) {
    list.push_back(k);
    if (k < k_max) list.push_back(k + 1);
    k += 2 * std::max<int64_t>(1, k / 10);
  }
  for (const int64_t k : {k_max - 1, k_max})
    if (k > list.back()) list.push_back(k);
  return list;
}

json drawing(const SpectrumReport& r) {
  json j = summary(r);
  j["points"] = json::array();
  for (const int64_t k : shown(r.spectrum.k_max())) {
    const Eigenvalue& e = r.spectrum.eigenvalues[static_cast<size_t>(k)];
    const ParityDecay& parity = k % 2 == 0 ? r.predicted.even : r.predicted.odd;
    const bool predicted = r.predicted.known && !parity.zero && static_cast<double>(k) > parity.nu + 1;
    j["points"].push_back({k, number_or_null(e.relative_error < 0.1 ? e.log10_abs : NAN), e.log10_multiplicity,
                           predicted ? json(log10_leading(parity, r.spectrum.dim, k)) : json(nullptr)});
  }
  return j;
}

/// As many decimals as the error leaves.
std::string with_error(double value, double error) {
  const int decimals = std::clamp(static_cast<int>(std::ceil(-std::log10(error))), 1, 9);
  return fmt::format("{:.{}f} ± {}", value, decimals, error >= 1e-3 ? fmt::format("{:.{}f}", error, decimals) : fmt::format("{:.0e}", error));
}

}  // namespace

SpectrumReport report_of(Spectrum spectrum) {
  const FittedDecay fitted = fit_decay(spectrum);
  const PredictedDecay predicted = predicted_decay(spectrum.kernel, spectrum.dim);
  return {std::move(spectrum), fitted, predicted};
}

std::string fitted_text(const FittedExponent& f) { return f.zero ? "zero" : !f.known ? "–" : f.power_law() ? with_error(f.exponent, f.error) : "no power law"; }

std::string predicted_text(const PredictedDecay& decay, const ParityDecay& parity) {
  return !decay.known ? "–" : parity.zero ? "zero" : fmt::format("{:.6g}", parity.exponent);
}

std::string decay_csv(const std::vector<SpectrumReport>& reports) {
  std::string csv = "kernel,dim,parity,exponent,error,predicted,nu,c,k_from,k_to\n";
  for (const SpectrumReport& r : reports)
    for (const bool even : {true, false}) {
      const FittedExponent& f = even ? r.fitted.even : r.fitted.odd;
      const ParityDecay& p = even ? r.predicted.even : r.predicted.odd;
      const std::string fitted = f.power_law() ? fmt::format("{:.12g},{:.2e}", f.exponent, f.error) : f.zero ? "zero," : ",";
      const std::string predicted = !r.predicted.known ? ",," : p.zero ? "zero,," : fmt::format("{:.12g},{:.12g},{:.15g}", p.exponent, p.nu, p.c);
      const std::string range = f.power_law() ? fmt::format("{},{}", f.first_k, f.last_k) : ",";
      csv += fmt::format("\"{}\",{},{},{},{},{}\n", r.spectrum.kernel.name(), r.spectrum.dim, even ? "even" : "odd", fitted, predicted, range);
    }
  return csv;
}

std::string spectra_json(const std::vector<SpectrumReport>& reports) {
  json kernels = json::array();
  for (const SpectrumReport& r : reports) {
    json j = summary(r);
    j["eigenvalues"] = json::array();
    for (const Eigenvalue& e : r.spectrum.eigenvalues)
      j["eigenvalues"].push_back({{"k", e.k}, {"multiplicity", e.multiplicity}, {"mu", e.mu}, {"log10_abs", number_or_null(e.log10_abs)},
                                  {"relative_error", e.relative_error}, {"source", source_name(e.source)}});
    kernels.push_back(std::move(j));
  }
  return json{{"kernels", kernels}}.dump(1) + "\n";
}

std::string spectrum_page(const std::vector<SpectrumReport>& reports, const std::string& title, size_t reference) {
  json kernels = json::array();
  for (const SpectrumReport& r : reports) kernels.push_back(drawing(r));
  return html_document(title, json{{"title", title}, {"reference", reference}, {"kernels", kernels}}.dump(-1, ' ', false, json::error_handler_t::replace),
                       spectrum_program);
}

}  // namespace pathkernel
