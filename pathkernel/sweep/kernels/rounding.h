#pragma once

#include <pathkernel/train/linear_form.h>

namespace pathkernel {

/// One parameter between two steps, all flat [W]: what its rounding is made of.
struct StepNumbers {
  Tensor w0, w1;        ///< weights before and after, in the run's dtype
  Tensor m0, m1;        ///< the optimizer's memory before and after, likewise; undefined where it has none
  Tensor u;             ///< û: the batch's gradient after clipping, in the evaluation precision
};

/// Largest absolute values met on the way.
struct StepSizes {
  double rounding = 0, weights = 0, expected = 0;  ///< ρ with the run's own memory in m̂'s place and without what the form says is beyond it, w, what the form says of Δ
  double memory_rounding = 0, memory = 0;          ///< m_s − (μ m_{s−1} + N∘u) of the run's own memory, and the memory itself
};

/// The rounding of a step (theory 2.6), in float64 whatever the tensors' dtypes, in one pass:
///     u = û + ω^c w₀;   m̂ ← μ m̂ + N∘u;   ρ = (w₁ − w₀) + S(D∘m̂ + E∘u) + ηω^d w₀
/// @param exact_memory  m̂ [W] float64, carried on in place; undefined where the optimizer has none
/// @param rho           [W], in the evaluation precision, written
StepSizes step_rounding(const LinearForm& form, const StepNumbers& numbers, Tensor& exact_memory, Tensor& rho);

/// The same with ATen's operations: for a form with a matrix, for other devices, and to compare with.
StepSizes step_rounding_by_operations(const LinearForm& form, const StepNumbers& numbers, Tensor& exact_memory, Tensor& rho);

/// Largest |a − b|, |a| and |b| of two flat tensors, in one pass on a CPU.
struct Difference { double off = 0, of_a = 0, of_b = 0; };
Difference largest_difference(const Tensor& a, const Tensor& b);

}  // namespace pathkernel
