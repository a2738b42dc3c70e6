#pragma once

#include <pathkernel/train/optimizer_settings.h>

#include <cstdint>
#include <string>
#include <vector>

namespace pathkernel {

/// What a step of training depends on besides its batch.
struct TrainingSettings {
  std::string objective = "cross-entropy";
  std::string reduction = "mean";  ///< mean | sum: of a batch's losses
  std::string regulariser = {};    ///< "l1:0.0001", "l2:0.001", as make_regulariser() takes it; empty: none
  OptimizerSettings optimizer;
  int64_t accumulate = 1;  ///< micro-batches per step
  double ema = 0;          ///< decay ρ of the weights' exponential moving average; 0: none is kept
  std::vector<int64_t> dropped = {};  ///< examples whose loss has weight 0 wherever they are drawn, ascending (train/dropped.h)
  bool renormalise = false;  ///< the others of a step then share the weight of those dropped; else their weights stay what they were
};

}  // namespace pathkernel
