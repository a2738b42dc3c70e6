#include <pathkernel/sweep/evaluation.h>

#include <ATen/core/grad_mode.h>

namespace pathkernel {

Tensors outputs_of(Model& model, const AskedNetwork& network, const Tensors& inputs) {
  const at::AutoGradMode off(false);
  model.bind_parameters(network.weights);
  model.bind_buffers(network.buffers);
  return model.forward(inputs, Mode::eval);
}

}  // namespace pathkernel
