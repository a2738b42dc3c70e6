#include <pathkernel/sweep/watch.h>

#include <ATen/ops/arange.h>

namespace pathkernel {

template <class Backward>
void Watch::aside(Backward backward) {
  Tensors before;
  for (const NamedTensor& p : parameters_) before.push_back(std::exchange(p.tensor.mutable_grad(), Tensor()));
  backward();
  for (size_t l = 0; l < parameters_.size(); ++l) parameters_[l].tensor.mutable_grad() = before[l];
}

void Watch::before_forward(Model& model, const Batch& micro_batch) {
  parameters_ = model.parameters();
  Tensors examples = micro_batch.inputs;
  examples.push_back(micro_batch.targets);
  passes.push_back({micro_batch.indices, {}, {}});
  catcher_.emplace(parameters_, model.buffers(), examples);
}

void Watch::after_forward(const Tensors& outputs, const Tensor& losses, const Tensor& weights) {
  catcher_->forward_done();
  if (probe_) aside([&] { probe(losses, weights); });
  if (!path_kernel_) return;
  aside([&] {  // Σ_i b_i f(x_i): its per-example gradients are b_i J_i.
    outputs[0].flatten(1).squeeze(1).mul(weights).sum().backward({}, /*retain_graph=*/true);
    passes.back().output_gradients = catcher_->take().to(precision_);
  });
}

void Watch::after_backward() {
  passes.back().gradients = catcher_->take().to(precision_);
  catcher_.reset();
}

void Watch::probe(const Tensor& losses, const Tensor& weights) {
  losses.mul(weights).sum().backward({}, true);
  const FactorSet once = catcher_->take();
  losses.mul(weights).mul(at::arange(1, losses.size(0) + 1, weights.options())).sum().backward({}, true);
  Catcher::check_owners(once, catcher_->take(), parameters_);
  probe_ = false;
}

}  // namespace pathkernel
