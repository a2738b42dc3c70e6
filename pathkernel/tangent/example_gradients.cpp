#include <pathkernel/tangent/example_gradients.h>

#include <pathkernel/tangent/catcher.h>

#include <ATen/core/grad_mode.h>

namespace pathkernel {

std::vector<FactorSet> example_gradients(Model& model, const Tensors& inputs, const Tensor& targets, const std::function<Tensor(const Tensors&)>& values, Tensor* found) {
  const at::AutoGradMode on(true);
  Tensors examples = inputs;
  if (targets.defined()) examples.push_back(targets);
  Catcher catcher(model.parameters(), model.buffers(), examples);
  const Tensor of_examples = values(model.forward(inputs, Mode::eval));
  catcher.forward_done();
  std::vector<FactorSet> sets = catcher.backward_each(of_examples);
  if (found != nullptr) *found = of_examples.detach();
  return sets;
}

}  // namespace pathkernel
