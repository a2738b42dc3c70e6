#pragma once

#include <pathkernel/core/progress.h>
#include <pathkernel/core/timings.h>
#include <pathkernel/data/dataset.h>
#include <pathkernel/record/recording.h>
#include <pathkernel/sweep/adjoint.h>
#include <pathkernel/sweep/ledger.h>
#include <pathkernel/sweep/measurement.h>
#include <pathkernel/sweep/plan.h>
#include <pathkernel/sweep/queries.h>
#include <pathkernel/sweep/segment_gradient.h>
#include <pathkernel/sweep/sweep_state.h>
#include <pathkernel/train/learner.h>

#include <functional>
#include <memory>

namespace pathkernel {

struct SweepOptions {
  GradientRule rule;
  Convention convention = Convention::propagate;
  at::ScalarType precision = at::kFloat;  ///< of the evaluation; training replays in its own
  std::string measure = "log-odds";
  std::function<std::unique_ptr<Measurement>()> measurement;  ///< a program's own in place of `measure`, which then is its name
  int64_t from = 0, until = -1;           ///< the window of the path: steps from … until−1 (−1: to the end)
  int64_t stride = 1;                     ///< steps that share one segment gradient (theory 2.7): complete, cheaper, other shares
  bool compare_strides = true;            ///< with a stride, measure how far it moves the shares: a few queries are swept again
  enum class Asked { recorded, weights, average };
  Asked network = Asked::recorded;        ///< which network is asked: recorded means the averaged one where an average was kept
  int64_t memory = int64_t(4) << 30;      ///< bytes for adjoints, tapes and traces, whose queries are streamed in chunks that fit;
                                          ///< and, once more, for the ledger itself
  int64_t keep = 0;                       ///< keep the largest so many contributions of each query only; 0: all, or what fits
  int64_t most_numbers = 1'000'000'000;   ///< in contributions, draws and step-wise views; beyond them the largest are kept
  int64_t sampled_steps = 32;             ///< steps on which the split's uncertainty E is measured by doubled panels; 0: not
  bool path_kernel = false;               ///< also Domingos' K(x, x_i) = Σ_s b_i ⟨−λ_s(x), J_{i,s}⟩; scalar outputs only
  bool statistics = false;                ///< also the examples' shares of the buffers' term, through batch norm's running statistics (theory 2.5)
  bool check = true;                      ///< assert the invariants of design.md section 4 at every step
  Timings* timings = nullptr;             ///< where the time goes, for benchmarks
  std::function<void(const SweepPlan&)> planned;  ///< told before anything is swept; may throw
  SweepKeeper* keeper = nullptr;          ///< where the state is left now and then, and taken up from
  bool strict = false;                    ///< a replayed step that differs from the recording is an error
};

/// The main job: every prediction of the recorded run as a sum over its training examples (theory 2.2), with a certificate.
/// Steps are replayed from checkpoints stretch by stretch and swept backwards; one replay per chunk of queries.
/// With a window the sum runs from the network at its beginning to the network at its end; adjacent windows add up.
/// @param learner  its model is of the recorded architecture, and has its own weights again afterwards   @param data  the training part
/// Cost per chunk: one replay + per step one forward and one reverse pass of the queries and the contraction of theory 4f.
/// @throws InvalidInput for queries that do not fit the model or the memory; InvariantViolated, ReplayMismatch (see Tracer).
Ledger sweep(const Recording& recording, const Learner& learner, const Dataset& data, const Queries& queries, const SweepOptions& options, const Progress& progress = {});

/// Inputs of `queries` that the network at the window's end takes for another class than theirs, int64 [k]: the set `wrong`.
/// @throws InvalidInput where there are no classes
Tensor wrong_inputs(const Recording& recording, const Learner& learner, const Dataset& data, const Queries& queries, const SweepOptions& options);

/// What that call would take, from the computation that it makes itself, and an estimate of its time: up to 16 steps are replayed and
/// swept with the first chunk of queries, and nothing is kept of them. @throws as sweep(), also where the run would not fit
SweepPlan plan_sweep(const Recording& recording, const Learner& learner, const Dataset& data, const Queries& queries, const SweepOptions& options);

}  // namespace pathkernel
