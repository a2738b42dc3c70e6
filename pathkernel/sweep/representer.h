#pragma once

#include <pathkernel/core/progress.h>
#include <pathkernel/data/dataset.h>
#include <pathkernel/record/recording.h>
#include <pathkernel/sweep/measurement.h>
#include <pathkernel/sweep/queries.h>
#include <pathkernel/sweep/segment_gradient.h>
#include <pathkernel/train/learner.h>

#include <functional>
#include <memory>
#include <string>

namespace pathkernel {

/// One step of the representer expansion of a run of plain SGD (theory 1, canonical object ii), over B examples drawn, O outputs of the network and Q queries:
///     f_T(x) = f_0(x) + Σ_s Σ_i α_{i,s} · K_s(x, x_i)   (+ jumps and rounding, as in the ledger)
/// α does not depend on x; K_s is not symmetric, because the query's side is the whole segment and the example's its beginning.
struct RepresenterStep {
  int64_t step = 0;
  double rate = 0;  ///< η_s
  Tensor examples;  ///< int64 [B]
  Tensor alpha;     ///< α_{i,s} = −η_s b_{i,s} ∂ℓ_i/∂f(x_i), [B, O]
  Tensor kernel;    ///< K_s(x, x_i) = ⟨G_s(x), ∂f(x_i)/∂w at w_s⟩, [Q, B, O]

  Tensor contributions() const;  ///< Σ_o α K, [B, Q]: the ledger's draws
};

struct RepresenterOptions {
  GradientRule rule = {};
  std::string measure = "log-odds";
  std::function<std::unique_ptr<Measurement>()> measurement = {};  ///< a program's own in place of `measure`
  int64_t from = 0, until = -1;                               ///< steps from … until−1 (−1: to the end); measured as at the end of the run
  Progress progress = {};
};

/// Replays the run and hands over the expansion, step by step, in float64. The examples' side is caught in the step's own forward pass (its dropout, its precision).
/// @param use  called for every step in order
/// Cost per step: the queries' forward and O·K reverse passes, O backward passes of the batch, and the Gram blocks between them.
/// @throws InvalidInput where the weights did not move by Σ α ∂f/∂w (momentum, decay, clipping, preconditioning, a loss of more than the first output): such a run has no
/// x-independent α at its steps (theory 1), its account is the ledger's; CoupledBatch for coupled batches
void representer(const Recording& recording, const Learner& learner, const Dataset& data, const Queries& queries, const RepresenterOptions& options,
                 const std::function<void(const RepresenterStep&)>& use);

}  // namespace pathkernel
