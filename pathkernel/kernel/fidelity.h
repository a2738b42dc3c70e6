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

struct FidelityOptions {
  int64_t memory = int64_t{4} << 30;  ///< for the kernels, [N, Q, O, O] in float64, and a tangent kernel's work
  Progress progress = {};
};

/// How far one kernel k explains what training changed, F = f_T − f_0 of all outputs, on the queries. R² = 1 − Σ(F − p)²/Σ(F − F̄)² over queries and outputs,
/// F̄ each output's mean over the queries; NaN: the run has no such numbers (see Fidelity::flow).
struct KernelFidelity {
  std::string kernel;  ///< path | untrained | trained (tangent kernels) | outputs | gaussian | noise
  /// Of a_i(x) = c_i(x)/k(x, x_i), coefficients that depend on x: max|Σ_i a_i(x) k(x, x_i) − Σ_i c_i(x)|/max|Σ_i c_i(x)|. Rounding, whatever k is (the tautology of theory 1).
  double tautology = std::numeric_limits<double>::quiet_NaN();
  /// How far those a_i(x) are from being coefficients: their interquartile range over x by their median, the median over the examples. 0: independent of x.
  double spread = std::numeric_limits<double>::quiet_NaN();
  double time_mean = std::numeric_limits<double>::quiet_NaN();      ///< R² of −Σ_i k(x, x_i) r̄_i, r̄_i the residuals' mean in time (untrained, trained: times the time): no number is fitted
  double least_squares = std::numeric_limits<double>::quiet_NaN();  ///< R² on every second query, of coefficients fitted to the others by least squares (of smallest norm)
  double negative = 0;  ///< share of k(x, x_i) < 0, of each output's own
};

struct Fidelity {
  int64_t queries = 0, examples = 0, outputs = 0, steps = 0;
  /// R² of Σ_i c_i(x), the run read as gradient flow on kernels at every step (theory 1). NaN for optimizers other than SGD, which have no such reading.
  double flow = std::numeric_limits<double>::quiet_NaN();
  std::vector<KernelFidelity> kernels;  ///< the path kernel, and controls

  const KernelFidelity& of(const std::string& kernel) const;
};

/// How non-tautological it is to call a recorded network a kernel machine (theory 1): with coefficients that do not depend on x, how much of f_T − f_0 do its path kernel
///     K(x, x_i) = Σ_s t_s b_{i,s} ⟨G_s(x), J_{i,s}⟩ over the steps that drew x_i,     c_i(x) = −Σ_s t_s b_{i,s} ⟨G_s(x), J_{i,s}⟩ r_{i,s}
/// (blocks [O, O]; G_s by two Gauss points, Jacobians in eval mode, everything but the residuals r in float64) and other kernels account for? Controls: the tangent kernels
/// before and after training; f(x)f(x'), of the trained outputs; a Gaussian of the inputs, as wide as they are apart; and noise, a Gaussian of numbers drawn for every input,
/// which have nothing to do with it. A step's time t_s is how far its gradient moves the weights until the end of the run (step_pushes(); η without momentum), times what
/// clipping by norm left of it: where the kernel never changes, that of a linear model without decay, Σ_i c_i(x) is f_T − f_0 to rounding, but for what a momentum from before
/// the run moves. Of other optimizers than SGD it is η.
/// @param learner  its model is of the recorded architecture, and has its own weights again afterwards   @param data  the training part
/// @param queries  inputs, eight or more, those of a model's forward; every second one is kept from the fit, so shuffle what is sorted in a pattern of two
/// Cost: a replay, and per step the Jacobians of the queries twice and of the batch; the fits O(Q²N) for O = 1.
/// @throws InvalidInput for few queries, a run without steps, or what does not fit the memory, and as tangent_kernel() and step_rate() do
Fidelity fidelity(const Recording& recording, const Learner& learner, const Dataset& data, const Tensors& queries, const FidelityOptions& options = {});

/// kernel,tautology,spread,time_mean,least_squares,negative with a line for each kernel.
std::string fidelity_csv(const Fidelity& found);

}  // namespace pathkernel
