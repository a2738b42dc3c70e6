#pragma once

#include <pathkernel/record/recording.h>
#include <pathkernel/train/objective.h>

#include <cstdint>
#include <string>
#include <vector>

namespace pathkernel {

/// Steps at which a run is looked at: those asked for, ascending, each once, or `count` evenly spaced ones; 0 among them.
/// @param who  asks, for the message   @throws InvalidInput for none, a step that the run has not, or an order that is not ascending
std::vector<int64_t> moments_of(const Recording& recording, std::vector<int64_t> steps, int64_t count, const char* who);

/// Makes sure that inputs, targets, … which a run is looked at with are finite.  @param who, what  for the message: "kernel_evolution", "the probe's inputs"
/// @throws InvalidInput naming the first row with NaN or an infinite number
void require_finite(const Tensors& tensors, const char* who, const char* what);

/// The mean loss of some inputs, of those that the loss counts (ignore_index).  @param reduction  of the run: of a sum, the mean over all is taken
/// @throws InvalidInput where the labels do not fit the outputs
double mean_loss(const Objective& objective, const std::string& reduction, const Tensors& outputs, const Tensor& targets, const char* who);

}  // namespace pathkernel
