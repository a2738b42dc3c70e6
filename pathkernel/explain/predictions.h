#pragma once

#include <pathkernel/sweep/ledger.h>

#include <cstdint>
#include <string>
#include <vector>

namespace pathkernel {

/// One input of a ledger of all logits, z_k(x): the class with the largest logit, twice. By the trained network, and by the sum
///     ẑ_k(x) = initial + Σ_i c_i + the other terms (ledger.h),
/// which leaves the residual out and so may differ.
struct Prediction {
  std::string input;                ///< "test:3"
  int64_t target = -1;              ///< true class; -1 unknown
  int64_t by_network = 0;           ///< argmax_k z_k
  int64_t by_sum = 0;               ///< argmax_k ẑ_k
  int64_t query = 0;                ///< the ledger's number of the logit of class `by_network`
  double sum = 0;                   ///< ẑ of that logit
  double largest_difference = 0;    ///< max_k |z_k − ẑ_k|
};

/// The theorem at work: the trained network against the sum over its training examples.
struct PredictionCheck {
  std::vector<Prediction> inputs;
  int64_t same = 0;                 ///< inputs with by_network = by_sum
  double largest_difference = 0;    ///< over all inputs and classes
  double largest_logit = 0;         ///< max |z_k|, what to hold the difference against

  /// "same prediction in 100 of 100 inputs; largest difference of a logit 4.1e-06 (logits up to 21)"
  std::string brief() const;
};

/// @throws InvalidInput for a ledger of another measurement than `logits`.  Cost: one pass over the contributions that are there.
PredictionCheck check_predictions(const Ledger& ledger);

}  // namespace pathkernel
