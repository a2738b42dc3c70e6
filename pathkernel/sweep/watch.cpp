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
  passes.push_back({micro_batch.indices, {}, {}, nullptr});
  if (options_.coupled) {
    const at::Device device = parameters_.front().tensor.device();
    passes.back().coupled = std::make_shared<CoupledPass>(CoupledPass{micro_batch, copies(values(model.buffers())), GeneratorStates::now(device), {}, {}});
    return;
  }
  Tensors examples = micro_batch.inputs;
  examples.push_back(micro_batch.targets);
  catcher_.emplace(parameters_, model.buffers(), examples);
}

void Watch::after_forward(const Tensors& outputs, const Tensor& losses, const Tensor& weights) {
  if (options_.coupled) {
    passes.back().coupled->b = weights;
    passes.back().in_half = outputs.front().scalar_type() == at::kBFloat16 || outputs.front().scalar_type() == at::kHalf;
    return;
  }
  catcher_->forward_done();
  passes.back().in_half = catcher_->in_half();
  if (options_.probe) aside([&] { probe(losses); });
  if (!options_.path_kernel) return;
  aside([&] {  // Σ_i b_i f(x_i): its per-example gradients are b_i J_i.
    outputs[0].flatten(1).squeeze(1).mul(weights).sum().backward({}, /*retain_graph=*/true);
    passes.back().output_gradients = catcher_->take().to(options_.precision);
  });
}

void Watch::after_backward() {
  if (options_.coupled) {
    if (!passes.back().in_half) take_gradient(*passes.back().coupled);
    return;
  }
  passes.back().gradients = catcher_->take().to(options_.precision);
  catcher_.reset();
}

/// What this pass added to the sum that autograd keeps, where that is in the evaluation precision already.
void Watch::take_gradient(CoupledPass& pass) {
  if (parameters_.front().tensor.scalar_type() != options_.precision) return;
  summed_.resize(parameters_.size());
  for (size_t l = 0; l < parameters_.size(); ++l) {
    const Tensor& grad = parameters_[l].tensor.grad();
    const Tensor now = grad.defined() ? grad.detach().reshape(-1).clone() : Tensor();
    pass.gradient.push_back(now.defined() && summed_[l].defined() ? now - summed_[l] : now);
    summed_[l] = now;
  }
}

/// Without the weights b_i: an example of weight 0 would show nothing of whom it is coupled to.
void Watch::probe(const Tensor& losses) {
  losses.sum().backward({}, true);
  const FactorSet once = catcher_->take();
  losses.mul(at::arange(1, losses.size(0) + 1, losses.options())).sum().backward({}, true);
  Catcher::check_owners(once, catcher_->take(), parameters_, catcher_->in_half());
  options_.probe = false;
}

}  // namespace pathkernel
