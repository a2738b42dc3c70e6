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

 private:
  static Tensors floating(const NamedTensors& tensors) { return inputs(values(tensors)); }

  OwnWeights own_;
};

}  // namespace pathkernel
