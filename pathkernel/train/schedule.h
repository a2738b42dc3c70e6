#pragma once

#include <pathkernel/train/optimizer_settings.h>

#include <cstdint>
#include <string>

namespace pathkernel {

/// The learning rate of step s of T. With a warm-up of n steps the schedule runs over the T' = T − n steps after it, t = s − n:
///     warm-up    η(s) = η₀ (s+1)/(n+1), where η₀ is the schedule's first learning rate; only s < n
///     constant   lr
///     step       lr · γ^⌊t/k⌋   (k lr_step, γ lr_gamma; torch's StepLR)
///     cosine     lr · (1 + cos(π t/T'))/2   (torch's CosineAnnealingLR down to zero)
///     one-cycle  from lr/25 up to lr in the first 0.3 T' steps, then down to lr/250000, both along half a cosine: torch's OneCycleLR
///                with its defaults, max_lr = lr and cycle_momentum=False (momentum stays as it is)
/// @throws InvalidInput when the warm-up is as long as the run, or for an unknown schedule
double learning_rate(const OptimizerSettings& settings, int64_t step, int64_t steps);

/// @throws InvalidInput for an unknown schedule, settings out of range, or lr_step where the schedule has no steps.
void validate_schedule(const OptimizerSettings& settings);

/// "constant", "10 steps of warm-up, then cosine", for people.
std::string describe_schedule(const OptimizerSettings& settings);

}  // namespace pathkernel
