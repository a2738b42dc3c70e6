#pragma once

#include <pathkernel/spectrum/decay.h>
#include <pathkernel/spectrum/expansion.h>
#include <pathkernel/spectrum/spectrum.h>

#include <string>
#include <vector>

namespace pathkernel {

/// A spectrum with its measured and its predicted decay.
struct SpectrumReport {
  Spectrum spectrum;
  FittedDecay fitted;
  PredictedDecay predicted;
};
SpectrumReport report_of(Spectrum spectrum);

/// "-4.0000000 ± 2e-07", "zero", "no power law", "–" where there were too few eigenvalues.
std::string fitted_text(const FittedExponent& fitted);
/// "-4", "zero", "–" where nothing is predicted.
std::string predicted_text(const PredictedDecay& decay, const ParityDecay& parity);

/// "kernel,dim,parity,exponent,error,predicted,nu,c,k_from,k_to": a line for every kernel and parity; empty where there is nothing to say.
std::string decay_csv(const std::vector<SpectrumReport>& reports);

/// Everything, for other programs: {"kernels": [{"name", "dim", …, "eigenvalues": [{"k", "multiplicity", "mu", …}]}]}. Numbers that a double does
/// not hold are decimal strings.
std::string spectra_json(const std::vector<SpectrumReport>& reports);

/// One page with a log–log plot of the eigenvalues and theory's slope, the slopes themselves, and a table; with several kernels also their
/// eigenvalues over those of one of them.  @param reference  its number
std::string spectrum_page(const std::vector<SpectrumReport>& reports, const std::string& title, size_t reference);

}  // namespace pathkernel
