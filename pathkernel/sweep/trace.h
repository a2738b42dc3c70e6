#pragma once

#include <pathkernel/core/timings.h>
#include <pathkernel/record/replay.h>
#include <pathkernel/sweep/coupled_pass.h>
#include <pathkernel/sweep/sweep_state.h>
#include <pathkernel/tangent/factors.h>
#include <pathkernel/train/linear_form.h>

#include <memory>
#include <vector>

namespace pathkernel {

/// One backward pass of a step: its batch, or one of its micro-batches.
struct Pass {
  Tensor indices;              ///< [n] which examples
  FactorSet gradients;         ///< b_i g_{i,s}, per example, in the evaluation precision
  FactorSet output_gradients;  ///< b_i ∂f(x_i)/∂w where the path kernel was asked for (scalar outputs); else empty
  std::shared_ptr<CoupledPass> coupled;  ///< where the examples have no gradients of their own; then both sets are empty
  bool in_half = false;        ///< part of it was computed in half precision (autocast), which the gradients here were not, or not all

  int64_t examples() const { return indices.size(0); }
};

/// What the reverse sweep needs of one training step, caught while it was replayed.
struct StepTrace {
  int64_t step = 0;
  Tensors weights, buffers;         ///< at the start of the step, in the run's dtype
  Tensors average;                  ///< w̄ at the start of the step where the averaged network is asked about; else empty
  double share_of_new = 1;          ///< 1−ρ of the average, as its kernels used it
  std::vector<Pass> passes;
  Tensors regulariser;              ///< gradient of the regulariser: per parameter, flat; empty without one
  std::vector<LinearForm> form;     ///< coefficients of theory 2.1, in the evaluation precision
  Tensors rounding;                 ///< ρ = Δ_s − (−S(D∘m_s + E∘u) − ηω^d w): per parameter, flat. m is carried in float64 from the
                                    ///< stretch's first step, so that μ m_{s−1} + N∘u gives it exactly
  Tensors average_rounding;         ///< w̄_{s+1} − w̄_s − (1−ρ)(w_{s+1} − w̄_s): per parameter, flat; empty without average
  Tensor indices;                   ///< [D] examples of all passes, one after another
  bool exact = true;                ///< the replayed weights had the recorded hash

  /// The network that queries are asked of: w̄ or w.
  const Tensors& evaluated() const { return average.empty() ? weights : average; }
  int64_t draws() const { return indices.size(0); }
};

/// A stretch of the path.
struct PathSegment {
  std::vector<StepTrace> steps;
  Tensors begin_memory;             ///< the optimizer's memory m before the first step; empty when it has none
  Tensors end_weights, end_buffers, end_average; ///< as recorded, after the last step
  Tensors end_memory_jump;          ///< the run's memory minus the one carried in float64, after the last step: per parameter, flat;
                                    ///< empty when the optimizer has none

  const Tensors& end_evaluated() const { return end_average.empty() ? end_weights : end_average; }
};

/// Replays stretches of a recording and catches per-example gradients, linear forms and roundings on the way.
class Tracer {
 public:
  struct Options {
    at::ScalarType precision = at::kFloat;
    bool average = false;           ///< the averaged network is asked about (the recording keeps one)
    bool path_kernel = false;
    bool statistics = false;        ///< what passes did to running statistics is asked for: all are taken as coupled ones, which say it
    bool check = true;              ///< assert the invariants of design.md section 4 at every step
    Timings* timings = nullptr;
    bool strict = false;            ///< a step whose hash differs is an error, not a drift
    int64_t push_memory = PushOptions().memory;  ///< for tangents of coupled passes
  };
  Tracer(const Recording& recording, const Learner& learner, const Dataset& data, Options options);
  ~Tracer();

  /// Steps begin … end−1, replayed from the last checkpoint at or before `begin`. @throws InvariantViolated naming parameter, step
  /// and size; ReplayMismatch under `strict`.
  PathSegment segment(int64_t begin, int64_t end);

  /// The state before step s alone: weights, buffers, average, memory (as `end_…` and `begin_memory` of an empty segment).
  PathSegment at(int64_t s) { return segment(s, s); }

  /// Whether a batch was found whose examples are coupled, or statistics are asked for; from then on every pass is taken so.
  bool coupled() const;
  CoupledPasses& coupled_passes();

  double largest_mismatch() const;  ///< of the frozen linear form over all steps, as a share of its allowance
  int64_t first_drift() const;      ///< −1: none
  const Objective& objective() const;

  /// What it found of the steps it replayed.
  void put_into(SweepState& state) const;
  void take_from(const SweepState& state);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace pathkernel
