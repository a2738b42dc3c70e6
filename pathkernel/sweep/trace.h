#pragma once

#include <pathkernel/core/timings.h>
#include <pathkernel/record/replay.h>
#include <pathkernel/tangent/factors.h>
#include <pathkernel/train/linear_form.h>

#include <memory>
#include <vector>

namespace pathkernel {

/// What the reverse sweep needs of one training step, caught while it was replayed.
struct StepTrace {
  int64_t step = 0;
  Tensors weights, buffers;         ///< at the start of the step, in the run's dtype
  FactorSet gradients;              ///< b_i g_{i,s}, per example of the batch, in the evaluation precision
  FactorSet output_gradients;       ///< b_i ∂f(x_i)/∂w where the path kernel was asked for (scalar outputs); else empty
  std::vector<LinearForm> form;     ///< coefficients of theory 2.1, in the evaluation precision
  Tensors memory_rounding;          ///< ρ^m = m_s − (μ m_{s−1} + N∘u): per parameter, flat; empty without memory
  Tensors rounding;                 ///< ρ = Δ_s − (−D∘m_s − E∘u − ηω^d w): per parameter, flat
  Tensor indices;                   ///< [n] which examples
  bool exact = true;                ///< the replayed weights had the recorded hash
};

/// A stretch of the path between two checkpoints.
struct PathSegment {
  std::vector<StepTrace> steps;
  Tensors end_weights, end_buffers; ///< as recorded, after the last step
  Tensors end_memory_jump;          ///< recorded minus replayed optimizer memory at the end; empty where replay was exact
};

/// Replays a stretch of a recording and catches per-example gradients, linear forms and roundings on the way.
class Tracer {
 public:
  struct Options {
    at::ScalarType precision = at::kFloat;
    bool path_kernel = false;
    bool check = true;              ///< assert the invariants of design.md section 4 at every step
    Timings* timings = nullptr;
    bool strict = false;            ///< a step whose hash differs is an error, not a drift
  };
  Tracer(const Recording& recording, Model& model, const Dataset& data, Options options);
  ~Tracer();

  /// Steps begin … end−1; `begin` has a checkpoint. @throws InvariantViolated naming parameter, step and size;
  /// ReplayMismatch under `strict`.
  PathSegment segment(int64_t begin, int64_t end);

  double largest_mismatch() const;  ///< of the frozen linear form over all steps, as a share of its allowance
  int64_t first_drift() const;      ///< −1: none
  const Objective& objective() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace pathkernel
