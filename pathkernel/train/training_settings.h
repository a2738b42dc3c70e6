#pragma once

#include <pathkernel/train/optimizer_settings.h>

#include <cstdint>
#include <string>
#include <vector>

namespace pathkernel {

/// An average of the weights beside them that is updated now and then, as torch.optim.swa_utils.AveragedModel keeps one.
struct AverageSettings {
  std::string rule = {};  ///< mean: all updates have the same weight (SWA); ema: the newest has 1 − decay; empty: none is kept
  double decay = 0;       ///< ema
  int64_t start = 0;      ///< the first step after which it is updated: it then becomes the weights themselves
  int64_t every = 1;      ///< steps from one update to the next
  bool operator==(const AverageSettings&) const = default;
};

/// What a step of training depends on besides its batch.
struct TrainingSettings {
  std::string objective = "cross-entropy";
  std::string reduction = "mean";  ///< mean | sum: of a batch's losses
  std::string regulariser = {};    ///< "l1:0.0001", "l2:0.001", as make_regulariser() takes it; empty: none
  OptimizerSettings optimizer;
  int64_t accumulate = 1;  ///< micro-batches per step
  double ema = 0;          ///< decay ρ of the weights' exponential moving average from the initial weights on; 0: none is kept
  AverageSettings average = {};  ///< another kind of average, in its place
  std::vector<int64_t> dropped = {};  ///< examples whose loss has weight 0 wherever they are drawn, ascending (train/dropped.h)
  bool renormalise = false;  ///< the others of a step then share the weight of those dropped; else their weights stay what they were

  bool keeps_average() const { return ema != 0 || !average.rule.empty(); }
};

}  // namespace pathkernel
