#pragma once

#include <pathkernel/model/own_weights.h>

namespace pathkernel {

/// A model computes in float64 while this lives, with the weights and buffers that it has; then it has its own again.
class InFloat64 {
 public:
  explicit InFloat64(Model& model) : own_(model) {
    model.bind_parameters(floating(model.parameters()));
    model.bind_buffers(floating(model.buffers()));
  }

  /// Inputs as the model takes them then: floating point ones in float64.
  static Tensors inputs(Tensors tensors) {
    for (Tensor& t : tensors) t = at::isFloatingType(t.scalar_type()) ? t.detach().to(at::kDouble) : t.detach();
    return tensors;
  }

  /// The same as copies, which what becomes of the tensors later does not reach.
  static Tensors copies(const Tensors& tensors) {
    Tensors all;
    for (const Tensor& t : tensors) all.push_back(t.detach().to(at::isFloatingType(t.scalar_type()) ? at::kDouble : t.scalar_type(), /*non_blocking=*/false, /*copy=*/true));
    return all;
  }

 private:
  static Tensors floating(const NamedTensors& tensors) { return inputs(values(tensors)); }

  OwnWeights own_;
};

}  // namespace pathkernel
