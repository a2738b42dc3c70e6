#pragma once

#include <pathkernel/core/progress.h>
#include <pathkernel/data/dataset.h>
#include <pathkernel/kernel/similarity.h>
#include <pathkernel/record/recording.h>
#include <pathkernel/train/learner.h>

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

namespace pathkernel {

struct EvolutionOptions {
  std::vector<int64_t> steps = {};    ///< where the kernel is looked at, ascending; empty: `count` of them, start and end among them
  int64_t count = 9;
  int64_t memory = int64_t{4} << 30;  ///< for a tangent kernel and the gradients of two networks on a block of inputs
  Progress progress = {};
};

/// The tangent kernel of a recorded network on a fixed set of inputs at one moment of its training, next to the untrained one (theory 10).
/// K is the trace form, J the Jacobian of all outputs, f the outputs, L the mean loss; index 0: before the first step.
struct KernelMoment {
  int64_t step = 0;
  double time = 0;                  ///< Σ η up to here, of the first group of parameters
  double loss = 0;                  ///< L
  double distance = 0;              ///< S(K, K_0)
  double distance_to_previous = 0;  ///< S(K, K of the moment before)
  double alignment = 0;             ///< unbiased centred alignment of K and K_0
  double label_alignment = std::numeric_limits<double>::quiet_NaN();  ///< with the targets (classes: one-hot, centred); NaN where examples have no single label
  double label_share = std::numeric_limits<double>::quiet_NaN();      ///< of the targets within as many leading eigenvectors as there are outputs
  EffectiveRanks ranks;
  double velocity = 0;              ///< ‖ΔK‖/(η‖K‖) over the step that follows (at the run's end: the last one); 0 where its learning rate is
  double change_of_kernel = 0;      ///< Δ(Df) = ‖J − J_0‖/‖J_0‖ (Geiger et al. 2020), from the Jacobians' difference itself
  double change_of_loss = 0;        ///< Δ(L) = |L − L_0|/|L_0|
  double linearisation_error = 0;   ///< ‖f − f_0 − J_0 (w − w_0)‖/‖f − f_0‖: what the network at w_0's tangent plane misses

  /// Δ(Df)/Δ(L): small where training is lazy (Chizat, Oyallon & Bach 2019): the loss goes and the kernel stays.
  double lazy_ratio() const { return change_of_loss > 0 ? change_of_kernel / change_of_loss : 0; }
};

/// How the tangent kernel of a recorded network changes while it trains, in float64.
/// @param learner  its model is of the recorded architecture, and has its own weights again afterwards   @param data  the training part
/// @param inputs, targets  of n ≥ 4 examples that are looked at, with their targets as the loss takes them
/// Cost: a replay, and for each moment two tangent kernels and n Jacobians twice. Memory beside `memory`: two networks a moment.
/// @throws InvalidInput for steps that the run has not, fewer than four inputs, and as tangent_kernel() does
std::vector<KernelMoment> kernel_evolution(const Recording& recording, const Learner& learner, const Dataset& data, const Tensors& inputs, const Tensor& targets,
                                           const EvolutionOptions& options = {});

/// step,time,loss,… with a line for each moment.
std::string evolution_csv(const std::vector<KernelMoment>& moments);

}  // namespace pathkernel
