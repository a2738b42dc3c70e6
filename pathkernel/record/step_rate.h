#pragma once

#include <pathkernel/record/recording.h>

#include <string>

namespace pathkernel {

/// η of a step.   @param who  begins the message
/// @throws InvalidInput where groups of parameters have different ones: no one number would be right for all
double step_rate(const StepRecord& record, const std::string& who);

}  // namespace pathkernel
