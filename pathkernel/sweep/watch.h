#pragma once

#include <pathkernel/sweep/trace.h>
#include <pathkernel/tangent/catcher.h>

#include <optional>

namespace pathkernel {

/// Hangs the catcher into every pass of a replayed training step; of coupled passes it keeps what it takes to run them again.
class Watch : public StepObserver {
 public:
  struct Options {
    at::ScalarType precision = at::kFloat;  ///< of the gradients
    bool path_kernel = false;
    bool probe = false;    ///< check on the first pass which example every row belongs to (two more backward passes)
    bool coupled = false;  ///< the examples have no gradients of their own: nothing is caught
  };
  explicit Watch(Options options) : options_(options) {}

  void before_forward(Model& model, const Batch& micro_batch) override;
  void after_forward(const Tensors& outputs, const Tensor& losses, const Tensor& weights) override;
  void after_backward() override;
  void after_passes(const Tensors& gradients) override { batch_gradient = gradients; }

  std::vector<Pass> passes;
  Tensors batch_gradient;   ///< as autograd summed it, one per parameter

 private:
  void probe(const Tensor& losses, const Tensor& weights);
  void take_gradient(CoupledPass& pass);
  /// Runs something that leaves gradients in .grad, and puts back what earlier passes left there.
  template <class Backward> void aside(Backward backward);

  Options options_;
  NamedTensors parameters_;
  std::optional<Catcher> catcher_;
  Tensors summed_;          ///< gradients that autograd had summed when the last coupled pass ended
};

}  // namespace pathkernel
