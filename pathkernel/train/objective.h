#pragma once

#include <pathkernel/core/tensors.h>
#include <pathkernel/data/dataset.h>

#include <cstdint>
#include <memory>
#include <string>

namespace pathkernel {

/// How a batch's losses become one number: their mean or their sum.
enum class Reduction { mean, sum };
/// @throws InvalidInput for any other name
Reduction parse_reduction(const std::string& name);

/// Per-example losses of a batch. The training loss is sum_i b_i loss_i (theory 0; b_i is the reduction's weight).
class Objective {
 public:
  virtual ~Objective() = default;
  /// As make_objective() takes it.
  virtual std::string name() const = 0;
  /// @param outputs  the model's, first dimension n   @param targets [n, ...]   @return [n]
  virtual Tensor losses(const Tensors& outputs, const Tensor& targets) const = 0;
  /// @throws InvalidInput when this loss cannot read the targets of `data`, naming losses that can.
  virtual void check(const Dataset& data) const = 0;
  /// What a column of whole numbers is to this loss: "classes", "numbers", or "auto" where it takes both (DataSource::targets).
  virtual std::string targets() const = 0;
  /// Numbers a network gives for each input where the targets are labels of so many classes.
  virtual int64_t outputs_for_classes(int64_t classes) const { return classes; }
  /// b [n], detached. Mean: 1/(passes·n), so that the weights of a step's passes (micro-batches) sum to one. Sum: 1.
  /// @param targets  of these examples: what their weights may depend on (tokens that count)
  virtual Tensor weights(const Tensor& losses, const Tensor& targets, int64_t passes = 1) const;

 private:
  friend std::unique_ptr<Objective> make_objective(const std::string& name, const std::string& reduction);
  Reduction reduction_ = Reduction::mean;
};

/// cross-entropy | label-smoothing:ε | hinge (class_losses.h), mse | huber:δ | bce-with-logits (number_losses.h)
/// @param reduction  mean | sum   @throws InvalidInput for any other name.
std::unique_ptr<Objective> make_objective(const std::string& name, const std::string& reduction = "mean");

}  // namespace pathkernel
