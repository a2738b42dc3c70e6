#pragma once

#include <pathkernel/record/recording.h>

#include <string>
#include <vector>

namespace pathkernel {

/// η of a step.   @param who  begins the message
/// @throws InvalidInput where groups of parameters have different ones: no one number would be right for all
double step_rate(const StepRecord& record, const std::string& who);

/// How far the gradient of each step of a run of SGD moves the weights by the run's end, through all steps that its momentum reaches (theory 2.1):
///     push_s = E_s + N_s Σ_{t ≥ s} D_t Π_{r = s+1..t} μ_r,   with constant η and μ, undampened: η (1 − μ^{T−s})/(1 − μ)
/// from the recorded settings of every step, which schedulers may change; without decay and clipping.
/// @param who  begins messages   @throws InvalidInput as step_rate(), and where groups of parameters have different momenta
std::vector<double> step_pushes(const Recording& recording, const std::string& who);

}  // namespace pathkernel
