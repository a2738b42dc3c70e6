#include <pathkernel/tangent/catcher.h>

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/randn.h>
#include <pathkernel/tangent/capture_state.h>
#include <pathkernel/tangent/contraction.h>
#include <pathkernel/tangent/coupled_batch.h>
#include <pathkernel/tangent/reverse.h>
#include <torch/csrc/autograd/engine.h>
#include <torch/csrc/autograd/variable.h>

namespace pathkernel {

struct Catcher::Impl {
  Tape tape;
  std::unique_ptr<Capture> capture;
  /// Cotangents as autograd's hooks delivered them since the last take().
  std::vector<std::pair<ValueId, Tensor>> caught;
  /// Where in autograd's graph the hooks hang: what is written into a tensor later does not move them.
  torch::autograd::edge_list places;
  bool in_half = false;
};

Catcher::Catcher(const NamedTensors& parameters, const NamedTensors& buffers, const Tensors& examples) : impl_(std::make_unique<Impl>()) {
  Impl* impl = impl_.get();
  impl->capture = std::make_unique<Capture>(impl->tape, Side::training, parameters, buffers, examples);
  impl->capture->state().on_entry = [impl](const Node& node, const Tensors& outputs) {
    for (size_t k = 0; k < outputs.size(); ++k) {
      const ValueId id = node.outputs[k];
      if (id == no_value || !outputs[k].requires_grad() || impl->tape.values[size_t(id)].shared()) continue;
      outputs[k].register_hook([impl, id](const Tensor& cotangent) { impl->caught.emplace_back(id, impl->in_half ? cotangent.to(at::kFloat) : cotangent); });
      impl->places.push_back(torch::autograd::impl::gradient_edge(outputs[k]));
    }
  };
}

Catcher::~Catcher() = default;

void Catcher::forward_done() {
  impl_->in_half = impl_->capture->state().in_half;
  impl_->capture.reset();
}

bool Catcher::in_half() const { return impl_->in_half; }

void Catcher::backward(const Tensor& number, bool retain_graph) {
  namespace autograd = torch::autograd;
  autograd::Engine::get_default_engine().execute({autograd::impl::gradient_edge(number)}, {at::ones_like(number)}, retain_graph, /*create_graph=*/false,
                                                 /*accumulate_grad=*/false, impl_->places);
}

FactorSet Catcher::take() {
  Reverse reverse(impl_->tape, impl_->tape);
  for (auto& [id, cotangent] : impl_->caught) reverse.seed(id, cotangent);
  impl_->caught.clear();
  return reverse.run();
}

void Catcher::check_owners(const FactorSet& first, const FactorSet& weighted, const NamedTensors& parameters, bool in_half) {
  const int64_t n = first.examples;
  at::Generator generator = at::detail::createCPUGenerator(1);  // of its own: the run's random numbers stay where they are
  for (size_t l = 0; l < parameters.size(); ++l) {
    if (first.parameters[l].empty()) continue;
    // Seen along a few random directions: written out, the gradients of a large layer would not fit.
    const Tensor& p = parameters[l].tensor;
    const Tensor directions = at::randn({4, p.numel()}, generator, at::TensorOptions().dtype(p.scalar_type())).to(p.device());
    const Tensor one = contract(first.parameters[l], directions, n), many = contract(weighted.parameters[l], directions, n);
    const Tensor weights = at::arange(1, n + 1, one.options()).unsqueeze(1);
    const double scale = many.abs().max().item<double>(), off = (many - one * weights).abs().max().item<double>();
    const double precision = in_half ? 0.1 : p.scalar_type() == at::kDouble ? 1e-9 : 1e-3;
    if (off > precision * scale) {
      throw CoupledBatch("the gradient of parameter '" + parameters[l].name + "' does not split by example: weighting example i's loss by i+1 changed " +
                         "its share by other than i+1 (largest deviation " + std::to_string(off / scale) + " of the largest share). " +
                         "Examples of a batch are coupled (batch statistics, contrastive losses), or rows are reordered in a way the tape cannot follow.");
    }
  }
}

}  // namespace pathkernel
