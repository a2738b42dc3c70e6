#pragma once

#include <pathkernel/sweep/ledger.h>

#include <string>

namespace pathkernel {

/// Checks that a ledger adds up in every view, and says where it first does not ("" when it does):
///     contributions = Σ draws of the example;  by_step, by_layer, by_class (and their stepwise forms) sum to Σ_i c_i;
///     final = initial + Σ_i c_i + the other terms + residual;  outputs begin at initial and end at final.
/// Where only the largest contributions are kept: each query's are of different examples and come by size; the others are as many, and no
/// larger, as they can be; by_step, by_layer and by_class sum to kept + dropped.
/// The tolerance is 1e-6 of the absolute values that were summed (draws and stepwise views are float32), 1e-12 for the identity.
/// Cost: one pass over the draws.
std::string first_disagreement(const Ledger& ledger);

}  // namespace pathkernel
