#include <pathkernel/spectrum/spectrum.h>

#include <pathkernel/core/error.h>
#include <pathkernel/spectrum/numerics/asymptotic.h>
#include <pathkernel/spectrum/numerics/checked_quadrature.h>
#include <pathkernel/spectrum/numerics/closed_form.h>
#include <pathkernel/spectrum/multiplicity.h>

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace pathkernel {
namespace {

using Source = Eigenvalue::Source;

constexpr int64_t most_digits = 100, largest_k = 1000000, largest_dim = 10000;
constexpr int64_t quadrature_at_least = 600;  ///< asymptotic values begin no earlier: quadrature costs little up to there

/// Eigenvalues on their way to a Spectrum.
struct Values {
  std::vector<Wide> mu;
  std::vector<double> error;  ///< relative
  std::vector<Source> source;
  int64_t working_digits = 0, nodes = 0;
  double overlap = 0;

  void add(const Wide& value, double relative_error, Source from) {
    mu.push_back(value);
    error.push_back(relative_error);
    source.push_back(from);
  }
};

void check(const ZonalKernel& kernel, int64_t dim, int64_t k_max, const SpectrumOptions& options) {
  const auto refuse = [&kernel](const std::string& why) { throw InvalidInput(fmt::format("eigenvalues of the {}: {}", kernel.name(), why)); };
  if (dim < 3 || dim > largest_dim)
    refuse(fmt::format("d = {}: expected 3 to {}, the number of a point's coordinates on the sphere S^(d-1).{}", dim, largest_dim,
                       dim == 2 ? " On the circle, d = 2, the eigenfunctions are cos kθ and sin kθ: take a Fourier transform of κ(cos θ)." : ""));
  if (k_max < 0 || k_max > largest_k) refuse(fmt::format("k_max = {}: expected 0 to {}", k_max, largest_k));
  if (options.digits < 1 || options.digits > most_digits)
    refuse(fmt::format("{} digits are beyond the working precision: expected 1 to {}, for results are kept in {} digits", options.digits, most_digits, decimal_digits<Wide>));
  if (options.nodes < 0 || options.nodes > most_nodes) refuse(fmt::format("{} nodes: expected at most {}, or 0 for as many as are needed", options.nodes, most_nodes));
  const int64_t threshold = node_threshold(kernel.power(), k_max);
  if (options.nodes > 0 && options.nodes <= threshold)
    refuse(fmt::format("k_max = {} is beyond {} nodes: with {} or fewer the sums for the last eigenvalues are not merely inexact but of the size of the kernel. "
                       "Expected at least {} nodes (0 chooses), or a smaller k_max.", k_max, options.nodes, threshold, threshold + 140 + dim));
}

/// The ν by which the kernel's eigenvalues fall off; 3/2 is assumed where nothing is known.
double decay_nu(const WideExpansion& expansion) {
  if (!expansion.known()) return 1.5;
  double nu = std::numeric_limits<double>::infinity();
  for (const auto* terms : {&expansion.at_plus_one, &expansion.at_minus_one})
    if (!terms->empty()) nu = std::min(nu, static_cast<double>(terms->front().nu));
  return nu;
}

Values by_quadrature(const ZonalKernel& kernel, int64_t dim, int64_t k_max, const SpectrumOptions& options, double nu) {
  CheckedValues checked = checked_quadrature(kernel, dim, k_max, options, nu);
  std::vector<Source> source(checked.mu.size(), Source::quadrature);
  return {std::move(checked.mu), std::move(checked.relative_error), std::move(source), checked.working_digits, checked.nodes, 0};
}

/// Quadrature up to where the asymptotic series has the digits, then the series.
Values by_both(const ZonalKernel& kernel, int64_t dim, int64_t k_max, const SpectrumOptions& options, const WideExpansion& expansion) {
  AsymptoticSeries series(expansion, dim);
  const double wanted = 0.1 * std::pow(10.0, -static_cast<double>(options.digits));
  int64_t last = quadrature_at_least;
  series.advance_to(last);
  while (last < k_max && series.sum(series.useful_terms()).relative_error > wanted) {
    last = std::min(k_max, last + last / 4);
    series.advance_to(last);
  }
  Values values = by_quadrature(kernel, dim, last, options, decay_nu(expansion));
  values.overlap = std::abs(static_cast<double>(Wide(series.sum(series.useful_terms()).value / values.mu.back() - 1)));
  while (series.k() < k_max) {
    series.next();
    const auto sum = series.sum(series.useful_terms());
    values.add(sum.value, std::max(sum.relative_error, values.overlap), Source::asymptotic);
  }
  return values;
}

Values compute(const ZonalKernel& kernel, int64_t dim, int64_t k_max, const SpectrumOptions& options, const WideExpansion& expansion) {
  if (has_closed_form(kernel)) {
    Values values;
    for (const Wide& mu : closed_form(kernel, dim, k_max)) values.add(mu, std::pow(10.0, 8 - decimal_digits<Wide>), Source::closed_form);
    return values;
  }
  // A user's terms need not be all there are.
  const bool continues = expansion.known() && kernel.family() != ZonalKernel::Family::user && options.nodes == 0;
  if (continues && k_max > quadrature_at_least) return by_both(kernel, dim, k_max, options, expansion);
  return by_quadrature(kernel, dim, k_max, options, decay_nu(expansion));
}

/// What the asymptotic series leaves of the eigenvalues, r_k = μ_k − Σ c B_k, adds up to κ(1) − (the series at u = 1), and its sum needs
/// no tail: it is as small as the series' last term.
TraceCheck check_trace(const ZonalKernel& kernel, int64_t dim, const std::vector<Wide>& mu, const WideExpansion& expansion) {
  const auto k_max = static_cast<int64_t>(mu.size()) - 1;
  AsymptoticSeries series(expansion, dim);
  series.advance_to(k_max);
  const size_t terms = series.useful_terms();
  const Wide left_out = series.sum(terms).last * Wide(multiplicity(dim, k_max)) * (k_max + 1);

  AsymptoticSeries blocks(expansion, dim);
  Wide partial = 0, rest = 0;
  for (int64_t k = 0; k <= k_max; ++k, blocks.next()) {
    const Wide n(multiplicity(dim, k));
    partial += n * mu[k];
    rest += n * (mu[k] - blocks.sum(terms).value);
  }
  TraceCheck t;
  t.kappa_at_one = kernel(1);  // a whole number for every kernel but the user's: the gap is not limited by the double
  t.partial = static_cast<double>(partial);
  t.tail_known = terms > 0 && k_max >= 10 && left_out < 0.01 * t.kappa_at_one;  // the series is one in 1/k
  const Wide whole = t.tail_known ? Wide(rest + blocks.at_one(terms)) : partial;
  t.tail = static_cast<double>(Wide(whole - partial));
  t.gap = static_cast<double>(Wide(whole / t.kappa_at_one - 1));
  return t;
}

/// The digits that are right, at least 1 so that something is printed.
int64_t digits_of(double relative_error, int64_t asked) {
  return std::clamp(static_cast<int64_t>(std::floor(-std::log10(2 * relative_error + 1e-300))), int64_t{0}, asked);
}

Eigenvalue describe(const Values& values, int64_t k, int64_t dim, int64_t digits) {
  const Wide& mu = values.mu[k];
  Eigenvalue e;
  e.k = k;
  e.multiplicity = multiplicity(dim, k);
  e.log10_multiplicity = log10_multiplicity(dim, k);
  e.relative_error = mu == 0 ? 0 : values.error[k];
  e.mu = mu == 0 ? "0" : mu.str(std::max<int64_t>(1, digits_of(e.relative_error, digits)) - 1, std::ios_base::scientific);
  e.value = static_cast<double>(mu);
  e.log10_abs = log10_abs(mu);
  e.source = values.source[k];
  return e;
}

}  // namespace

Spectrum eigenvalues(const ZonalKernel& kernel, int64_t dim, int64_t k_max, const SpectrumOptions& options) {
  check(kernel, dim, k_max, options);
  const WideExpansion expansion = wide_expansion(kernel);
  const Values values = compute(kernel, dim, k_max, options, expansion);
  Spectrum s{kernel, dim, {}, options, options.digits, values.working_digits, values.nodes, values.overlap, {}};
  for (int64_t k = 0; k <= k_max; ++k) {
    s.eigenvalues.push_back(describe(values, k, dim, options.digits));
    if (values.mu[k] != 0) s.digits_reached = std::min(s.digits_reached, digits_of(values.error[k], options.digits));
  }
  s.trace = check_trace(kernel, dim, values.mu, expansion);
  return s;
}

std::string Spectrum::brief() const {
  const auto by = [this](Source source) { return std::count_if(eigenvalues.begin(), eigenvalues.end(), [&](const Eigenvalue& e) { return e.source == source; }); };
  std::string how = by(Source::closed_form) > 0 ? "in closed form" : fmt::format("by quadrature with {} nodes in {} digits", nodes, working_digits);
  if (by(Source::asymptotic) > 0)
    how += fmt::format(" up to k = {}, by the asymptotic series beyond (they agree there to {:.0e})", by(Source::quadrature) - 1, overlap);
  return fmt::format("{} on S^{} (d = {}), k = 0 to {}: {} {}{}, {}", kernel.name(), dim - 1, dim, k_max(), digits_reached,
                     digits_reached == 1 ? "digit" : "digits", digits_reached < options.digits ? fmt::format(" ({} were asked for)", options.digits) : "", how);
}

std::string Spectrum::full() const {
  std::string sum = fmt::format("{:.6g} up to k = {}", trace.partial, k_max());
  if (trace.tail_known) sum += fmt::format(", {:.3g} beyond by the expansion at u = 1 and -1; off by {:.0e} of it", trace.tail, std::abs(trace.gap));
  else sum += fmt::format("; {:.1e} of it lies beyond", std::abs(trace.gap));
  return fmt::format("{}\ntrace: Σ μ_k N(d,k) = κ(1) = {:.6g}: {}", brief(), trace.kappa_at_one, sum);
}

std::string to_csv(const Spectrum& spectrum) {
  std::string csv = "k,multiplicity,mu\n";
  for (const Eigenvalue& e : spectrum.eigenvalues) csv += fmt::format("{},{},{}\n", e.k, e.multiplicity, e.mu);
  return csv;
}

}  // namespace pathkernel
