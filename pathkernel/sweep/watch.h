#pragma once

#include <pathkernel/sweep/trace.h>
#include <pathkernel/tangent/catcher.h>

#include <optional>

namespace pathkernel {

/// Hangs the catcher into every pass of a replayed training step.
class Watch : public StepObserver {
 public:
  /// @param probe  check on the first pass which example every row belongs to (two more backward passes)
  Watch(at::ScalarType precision, bool path_kernel, bool probe) : precision_(precision), path_kernel_(path_kernel), probe_(probe) {}

  void before_forward(Model& model, const Batch& micro_batch) override;
  void after_forward(const Tensors& outputs, const Tensor& losses, const Tensor& weights) override;
  void after_backward() override;
  void after_passes(const Tensors& gradients) override { batch_gradient = gradients; }

  std::vector<Pass> passes;
  Tensors batch_gradient;   ///< as autograd summed it, one per parameter

 private:
  void probe(const Tensor& losses, const Tensor& weights);
  /// Runs something that leaves gradients in .grad, and puts back what earlier passes left there.
  template <class Backward> void aside(Backward backward);

  at::ScalarType precision_;
  bool path_kernel_, probe_;
  NamedTensors parameters_;
  std::optional<Catcher> catcher_;
};

}  // namespace pathkernel
