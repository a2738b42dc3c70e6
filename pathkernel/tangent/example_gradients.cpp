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
  const int64_t K = of_examples.size(1);
  std::vector<FactorSet> sets;
  for (int64_t k = 0; k < K; ++k) {
    catcher.backward(of_examples.select(1, k).sum(), /*retain_graph=*/k + 1 < K);
    sets.push_back(catcher.take());
  }
  if (found != nullptr) *found = of_examples.detach();
  return sets;
}

}  // namespace pathkernel
