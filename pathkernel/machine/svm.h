#pragma once

#include <pathkernel/machine/matrix.h>

#include <cstdint>

namespace pathkernel {

struct SvmOptions {
  double C = 1;               ///< what an example inside the margin costs
  bool probability = false;   ///< also Platt's sigmoids, by LIBSVM's five-fold cross-validation: about five times the work
  double tolerance = 1e-3;    ///< of the Karush-Kuhn-Tucker conditions, where LIBSVM stops
  int64_t cache = int64_t{200} << 20;  ///< bytes for rows of the kernel in work, at most 4 for each entry of a pair's
  uint64_t seed = 0;          ///< of the folds; the C library's own generator is seeded with it
  MachineOptions machine = {};
};

/// A support vector machine by LIBSVM (C-SVC on a precomputed kernel): max Σα − ½ αᵀ(yyᵀ∘K)α, 0 ≤ α ≤ C, Σαy = 0 for every pair of classes; the class
/// with most pairs wins. P = classes(classes − 1)/2 pairs (0,1), (0,2), …, (1,2), …
struct Svm {
  int64_t examples = 0;  ///< columns of K_x that predictions expect
  int64_t classes = 0;
  Tensor support;        ///< the support vectors among the examples, int64 [s]: those of class 0 first, and so on
  Tensor per_class;      ///< how many of each, int64 [classes]
  Tensor coefficients;   ///< LIBSVM's sv_coef: y_i α_i of a support vector against each other class, [classes − 1, s]
  Tensor rho;            ///< [P]
  Tensor sigmoids;       ///< Platt's A and B, [2, P]; undefined without SvmOptions::probability
  /// ½‖f‖² + CΣhinge − dual of every pair, [P]: how far the solution can be from the best one. Undefined for a machine that was loaded.
  Tensor gap;

  /// f = Σα_i y_i k(x, x_i) + b for each pair, [m, P]; positive speaks for the first class of the pair.
  Tensor decisions(const Tensor& K_x) const;
  Tensor predict(const Tensor& K_x) const;  ///< classes 0 … classes − 1, int64 [m]
  /// Pairwise sigmoids coupled by Wu, Lin and Weng (2004), LIBSVM's own, [m, classes]. The most probable class may differ from predict().
  /// @throws InvalidInput when the machine was fitted without probabilities
  Tensor probabilities(const Tensor& K_x) const;

  /// The same machine over its support vectors alone: K_x has only their columns, in the order of `support`.
  Svm compact() const;
};

/// @param K  [n, n]   @param labels  int64 [n], 0 … classes − 1, at least two of which occur
/// @throws InvalidInput also in LIBSVM's words where it refuses a setting. Memory: K, and 16n² bytes in LIBSVM's form. Without probabilities, as many pairs of classes are
/// in work as there are threads, each with a cache of its own.
Svm fit_svm(const Tensor& K, const Tensor& labels, int64_t classes, const SvmOptions& options = {});

/// Labels that machines for classes take: int64 [n], each within 0 … classes − 1, at least two different. @throws InvalidInput
Tensor labels_of(const Tensor& labels, int64_t n, int64_t classes, const std::string& who);

}  // namespace pathkernel
