#pragma once

#include <pathkernel/core/progress.h>
#include <pathkernel/data/dataset.h>
#include <pathkernel/record/recording.h>
#include <pathkernel/train/learner.h>

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

namespace pathkernel {

struct TaylorisedOptions {
  int64_t order = 1;                  ///< 1: the linearised network; 2: quadratic in the weights
  std::vector<int64_t> steps = {};    ///< where the two are compared, ascending; empty: `count` of them, start and end among them
  int64_t count = 9;
  Progress progress = {};
};

/// A recorded network and its Taylor polynomial, trained alike, at one moment: on a fixed set of inputs, in eval mode. The polynomial's numbers are NaN from where it left
/// the finite numbers.
struct TaylorMoment {
  int64_t step = 0;
  double loss = 0, taylor_loss = 0;          ///< mean over the inputs
  double accuracy = std::numeric_limits<double>::quiet_NaN(), taylor_accuracy = std::numeric_limits<double>::quiet_NaN();  ///< NaN where the targets are no classes
  double agreement = std::numeric_limits<double>::quiet_NaN();  ///< share of the inputs to which both give the same class
  double distance = 0;          ///< ‖f_Taylor − f‖/‖f − f_0‖, over all outputs; 0 where nothing moved
  double weight_distance = 0;   ///< ‖w_Taylor − w‖/‖w − w_0‖
};

struct Taylorised {
  int64_t order = 1;
  std::vector<TaylorMoment> moments;
  int64_t diverged = -1;         ///< the first step after which a loss or weight of the polynomial was not finite; −1: none
  Tensor outputs, taylor_outputs;  ///< [moments, n, O], float64
};

/// Trains the Taylor polynomial of a recorded network (TaylorModel) from the recorded initial weights, on the recorded batches, with the recorded optimizer, learning
/// rates and random numbers, and compares it with the network itself.
/// @param learner  its model is of the recorded architecture, and has its own weights again afterwards   @param data  the training part
/// @param inputs, targets  that both are compared on
/// Cost: a replay, and a replay in which every pass is TaylorModel's: about 4 times as dear for order 1, 12 times for order 2.
/// @throws InvalidInput for steps that the run has not, targets that do not fit the outputs, and as TaylorModel does
Taylorised taylorised(const Recording& recording, const Learner& learner, const Dataset& data, const Tensors& inputs, const Tensor& targets, const TaylorisedOptions& options = {});

/// step,loss,taylor_loss,… with a line for each moment.
std::string taylorised_csv(const Taylorised& found);

}  // namespace pathkernel
