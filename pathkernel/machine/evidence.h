#pragma once

#include <pathkernel/core/progress.h>
#include <pathkernel/kernel/kernel.h>
#include <pathkernel/machine/gaussian_process.h>

#include <string>
#include <vector>

namespace pathkernel {

/// A derivative of the evidence with the logarithm of one number: an entry of a hyper-parameter, or the noise.
struct EvidenceSlope {
  std::string name;  ///< "lengthscale", "lengthscale[2]", "noise"
  double value = 0;  ///< of the number itself
  double slope = 0;  ///< ∂log p/∂log value
};

struct Evidence {
  double log_evidence = 0;
  double jitter = 0;
  std::vector<EvidenceSlope> slopes;  ///< of all that are positive; the noise last
};

/// log p(y) of a Gaussian process and its gradient, ½tr((ααᵀ − K_y⁻¹)∂K), exact: a Cholesky factorisation, and autograd through the kernel in tiles, so
/// that memory stays at 4 matrices. y is taken as it is: subtract a mean first.
/// @param x  [n, ...] float64   @throws InvalidInput as fit_gaussian_process and gram_matrix
Evidence log_evidence(Kernel& kernel, const Tensor& x, const Tensor& y, double noise, const MachineOptions& options = {});

struct HyperparameterSearch {
  int64_t restarts = 3;      ///< further starts: every number multiplied by something between 1/spread and spread, evenly in the logarithm
  double spread = 30;
  bool fit_noise = true;
  std::vector<std::string> fixed = {};      ///< names of hyper-parameters to leave alone
  double smallest = 1e-5, largest = 1e5;    ///< bounds, as factors of the value at the start
  int64_t iterations = 200;                 ///< of each start
  uint64_t seed = 0;
  MachineOptions machine = {};
  Progress progress = {};                   ///< in starts
};

struct HyperparameterFit {
  struct Start {
    double log_evidence = 0, largest_slope = 0;
    int64_t iterations = 0, evaluations = 0;
    bool converged = false;
  };
  double noise = 0, log_evidence = 0;
  std::vector<Start> starts;           ///< those at which the evidence exists
  int64_t best = 0;                    ///< index in starts
  int64_t without_evidence = 0;        ///< starts whose matrix could not be factorised
  std::vector<EvidenceSlope> slopes;   ///< where it ended
  std::vector<std::string> at_bound;   ///< what stands at a bound: the data do not say more

  std::string brief() const;
};

/// Hyper-parameters (those that are positive, in logarithms) and noise that maximise the evidence, by L-BFGS from where they are and from `restarts` other places.
/// The kernel is left with the best. For fewer than 512 examples torch's threads are set to one meanwhile, for the process.
/// @throws InvalidInput as log_evidence, when no start has an evidence; naming what `fixed` does not know
HyperparameterFit fit_hyperparameters(Kernel& kernel, const Tensor& x, const Tensor& y, double noise, const HyperparameterSearch& search = {});

}  // namespace pathkernel
