#pragma once

#include <pathkernel/core/progress.h>
#include <pathkernel/data/dataset.h>
#include <pathkernel/record/recording.h>
#include <pathkernel/sweep/ledger.h>
#include <pathkernel/sweep/measurement.h>
#include <pathkernel/sweep/queries.h>
#include <pathkernel/train/learner.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace pathkernel {

struct TracInOptions {
  std::string measure = "loss";
  int64_t checkpoints = 5;
  bool fewer = false;                 ///< take fewer checkpoints where the run has not so many
  int64_t memory = int64_t(4) << 30;  ///< for the scores [N, Q]
  std::function<std::unique_ptr<Measurement>()> measurement = {};  ///< a program's own in place of `measure`, which then is its name
};

/// TracIn's scores, and what the same passes over the training part give besides.
struct TracIn {
  Ledger ledger;
  std::vector<int64_t> steps;  ///< of the checkpoints
  Tensor self_influence;       ///< [N] Σ_c η_c ‖∇ℓ(z_i; w_c)‖²
  Tensor predicted;            ///< [N] int64: the final network's class of each training example; undefined without classes
  Tensor losses;               ///< [checkpoints, N] of the training examples, with the labels they were trained with
};

/// TracIn over checkpoints (Pruthi, Liu, Kale, Sundararajan 2020, arXiv:2002.08484, "TracInCP"), for every training example at every
/// checkpoint, whether it was drawn there or not:
///     contributions[i, q] = − Σ_c η_c ⟨∇ℓ(z_i; w_c), ∇m_q(x; w_c)⟩,
/// the paper's score with its sign turned, so that + is a push up of the measurement as everywhere (captum and dattri: −contributions).
/// The network is in eval mode, ℓ without the reduction's weight, η_c the learning rate of the step that begins at the checkpoint (of
/// the last step at the run's end). Checkpoints: the recorded ones nearest to equal parts of the run, its end among them.
/// A score and no account: nothing is claimed to add up. The ledger's `residual` is what it leaves of the change, and there is no
/// certificate. Gram blocks stay factored (theory 4a–e). Computed in the run's precision.
/// Cost per checkpoint: forward and backward of all training examples and queries, and their Gram blocks.
/// @param learner  its model is of the recorded architecture, and has its own weights again afterwards   @param data  the training part
/// @throws InvalidInput where the run has not so many checkpoints, the scores do not fit the memory, or the batch couples its examples.
TracIn tracin(const Recording& recording, const Learner& learner, const Dataset& data, const Queries& queries, const TracInOptions& options, const Progress& progress = {});

}  // namespace pathkernel
