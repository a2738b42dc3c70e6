#pragma once

#include <pathkernel/core/progress.h>
#include <pathkernel/machine/dynamics.h>
#include <pathkernel/machine/feature_ridge.h>
#include <pathkernel/machine/finetune.h>
#include <pathkernel/machine/gaussian_process.h>
#include <pathkernel/machine/kernel_pca.h>
#include <pathkernel/machine/laplace.h>
#include <pathkernel/machine/svm.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace pathkernel {

/// f(x) = Σ_i α_i k(x, x_i): what ridge regression, conjugate gradients, Nyström and training in closed form leave.
struct KernelExpansion {
  Tensor alpha;  ///< [n, k]
};

/// Ridge weights on random Fourier features, with what is needed to draw the same features again.
struct FourierExpansion {
  Tensor weights;  ///< [D, k]
  int64_t inputs = 0, directions = 0;
  uint64_t seed = 0;
};

/// The network whose tangent kernel a machine has, with the weights that it is taken at.
struct KeptNetwork {
  std::string specification;  ///< Model::specification()
  NamedTensors parameters, buffers;

  static KeptNetwork of(const Model& model);
  /// @throws InvalidInput when only another program can build it (a module of Python's: `pathkernel.machines` takes it there)
  std::unique_ptr<Model> make() const;
};

/// Tr Θ(x, y) of a network, [n, m]: the kernel that machines other than Finetuned take of it. Float64.   @param y  undefined: symmetric
Tensor network_gram(Model& model, const Tensor& x, const Tensor& y, int64_t memory, const Progress& progress = {});
/// Tr Θ(x_i, x_i), [n].
Tensor network_diagonal(Model& model, const Tensor& x, int64_t memory);

/// A fitted machine with all that it needs to answer for new inputs.
struct TrainedMachine {
  using Fitted = std::variant<KernelExpansion, GaussianProcess, LaplaceBinary, LaplaceMulticlass, Svm, KernelPca, FourierExpansion, Finetuned>;

  std::string kind;                       ///< as messages call it: "ridge", "gp", "svm", …
  std::string kernel;                     ///< as parse_kernel() reads it; empty: kernel matrices are brought, from anywhere, or `network` has it
  std::optional<KeptNetwork> network;     ///< its tangent kernel is the machine's
  Tensor inputs;                          ///< the examples (for a support vector machine, the support vectors) that K_x has a column for, [n, ...]; undefined without a kernel
  std::vector<std::string> classes;       ///< names; empty for regression and components
  Tensor offset;                          ///< added to outputs, [k]: the targets' mean, 1/classes, or zero
  std::map<std::string, double> numbers;  ///< lambda, log_evidence, …: what the fit says of itself
  Fitted fitted;

  /// What files call it: "expansion", "gaussian_process", "laplace_binary", "laplace_multiclass", "svm", "kernel_pca", "fourier_expansion", "finetuned".
  static const char* type_of(const Fitted& fitted);

  /// Columns that K_x must have; 0 for random features, which take inputs.
  int64_t columns() const;
  /// Whether predict() wants k(x, x).
  bool wants_diagonal() const;
};

struct MachinePrediction {
  Tensor outputs;        ///< regression: means; classes: a number for each (or for each pair, svm); components; latent means. [m, k]
  Tensor classes;        ///< int64 [m]; undefined for regression and components
  Tensor variance;       ///< of f without noise, [m] (of a fine-tuned network [m, k]): Gaussian processes; undefined otherwise
  Tensor probabilities;  ///< [m, classes]: Laplace, and support vector machines with probabilities; undefined otherwise
  double probability_error = 0;  ///< largest standard error, where they are a Monte-Carlo estimate
};

/// @param K_x  [m, columns()]   @param k_xx  k(x, x), [m]; may be undefined where wants_diagonal() is false
MachinePrediction predict(const TrainedMachine& machine, const Tensor& K_x, const Tensor& k_xx = {});
/// The same for inputs [m, ...], through the machine's own kernel, in pieces that fit the memory.
/// @throws InvalidInput when the machine has no kernel, or the inputs are not like its examples, or its network cannot be built
MachinePrediction predict_inputs(const TrainedMachine& machine, const Tensor& x, int64_t memory = int64_t{4} << 30, const Progress& progress = {});
/// The same of a fine-tuned network, through `model` of the kept network's architecture, whatever its weights are.
/// @param examples  fitted to, as the model takes them   @param variance  whether variances and the probabilities that go with them are wanted
MachinePrediction predict_finetuned(const TrainedMachine& machine, Model& model, const Tensors& examples, const Tensors& x, bool variance, int64_t memory = int64_t{4} << 30);

/// How good predictions are.
struct Score {
  int64_t examples = 0;
  std::optional<double> accuracy;           ///< of classes
  std::optional<double> log_loss;           ///< −mean log of the true class's probability
  std::optional<double> root_mean_square;   ///< of outputs − targets
  std::optional<double> r_squared;          ///< 1 − Σ(y − f)²/Σ(y − mean y)², over all outputs; nothing when the targets are all the same
  std::optional<double> log_density;        ///< mean log N(y; f, variance + noise), summed over the outputs: Gaussian processes
};

/// @param targets  int64 [m] for classes, [m] or [m, k] for numbers
Score score(const TrainedMachine& machine, const MachinePrediction& prediction, const Tensor& targets);

}  // namespace pathkernel
