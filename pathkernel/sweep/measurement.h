#pragma once

#include <pathkernel/core/tensors.h>
#include <pathkernel/train/objective.h>

#include <memory>
#include <string>

namespace pathkernel {

/// One or several scalars per input, differentiable in the network's outputs: what a query asks about.
class Measurement {
 public:
  virtual ~Measurement() = default;
  /// Told of the inputs that prepare() and values() are about, before they are called.
  virtual void about(const Tensors& /*inputs*/) {}
  /// Fixes what depends on the final network (the predicted class), before the path is walked.
  /// @param outputs  of the final network, [n, ...]   @param targets  [n, ...]; undefined when unknown
  virtual void prepare(const Tensors& outputs, const Tensor& targets) = 0;
  /// @return [n, K]
  virtual Tensor values(const Tensors& outputs) const = 0;
  virtual int64_t per_input() const = 0;                                  ///< K
  virtual std::string describe(int64_t input, int64_t k) const = 0;       ///< "log-odds of 7 (runner-up 2)"
  virtual std::string describe_any(int64_t k) const = 0;                  ///< of no input in particular: "log-odds of the predicted class"
};

/// With z the outputs [n, C] (class scores, or the coordinates of a regression):
///   log-odds   z_k − log Σ_{j≠k} e^{z_j}, k the class the final network predicts
///   margin     z_y − max_{j≠y} z_j, y the true class
///   log-prob   log softmax(z)_k, k the predicted class
///   logit:K    z_K          logits  all of them (C queries per input)
///   output:K   z_K for regression
///   loss       the training loss of the input with its true target
/// @throws InvalidInput for another name, a class outside 0…C−1, or a measurement that needs targets or classes where there are none.
std::unique_ptr<Measurement> make_measurement(const std::string& name, const Objective& objective, const std::vector<std::string>& class_names);

}  // namespace pathkernel
