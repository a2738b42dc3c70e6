#include <pathkernel/tangent/catcher.h>

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/functorch/BatchedTensorImpl.h>
#include <ATen/functorch/DynamicLayer.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/eye.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/randn.h>
#include <c10/util/accumulate.h>
#include <pathkernel/tangent/capture_state.h>
#include <pathkernel/tangent/contraction.h>
#include <pathkernel/tangent/coupled_batch.h>
#include <pathkernel/tangent/reverse.h>
#include <torch/csrc/autograd/engine.h>
#include <torch/csrc/autograd/variable.h>

#include <algorithm>

namespace pathkernel {
namespace {

/// While it lives, this thread's operations run on `count` tensors side by side where one of them is batched.
class SideBySide {
 public:
  explicit SideBySide(int64_t count)
      : level_(at::functorch::initAndPushDynamicLayer(at::functorch::TransformType::Vmap, count, at::functorch::RandomnessType::Error)), quiet_(&ignored_) {}
  ~SideBySide() { at::functorch::popDynamicLayerAndDeleteMetadata(); }
  SideBySide(const SideBySide&) = delete;
  SideBySide& operator=(const SideBySide&) = delete;

  /// @param t  its first dimension is the batch
  Tensor batched(const Tensor& t) const { return at::functorch::makeBatched(t, 0, level_); }

 private:
  struct Ignored : c10::WarningHandler {
    void process(const c10::Warning&) override {}
  };
  int64_t level_;
  Ignored ignored_;  // that an operation is batched by a loop: it is as fast as without
  c10::WarningUtils::WarningHandlerGuard quiet_;
};

}  // namespace

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

/// Appends a set for each of the K numbers; false where an operation cannot be batched.
bool Catcher::side_by_side(const Tensor& numbers, std::vector<FactorSet>& sets) {
  namespace autograd = torch::autograd;
  const int64_t n = numbers.size(0), K = numbers.size(1);
  const Tensor seeds = at::eye(K, numbers.options()).unsqueeze(1).expand({K, n, K});
  try {
    const SideBySide all(K);
    autograd::Engine::get_default_engine().execute({autograd::impl::gradient_edge(numbers)}, {all.batched(seeds)}, /*retain_graph=*/true, /*create_graph=*/false,
                                                   /*accumulate_grad=*/false, impl_->places);
  } catch (const std::exception&) {
    impl_->caught.clear();
    return false;
  }
  const auto caught = std::move(impl_->caught);
  for (int64_t k = 0; k < K; ++k) {
    impl_->caught.clear();
    for (const auto& [id, cotangent] : caught) {
      const auto* batched = at::functorch::maybeGetBatchedImpl(cotangent);
      impl_->caught.emplace_back(id, batched == nullptr ? cotangent : batched->value().select(batched->bdim(), k));
    }
    sets.push_back(take());
  }
  return true;
}

std::vector<FactorSet> Catcher::backward_each(const Tensor& numbers) {
  constexpr int64_t cached = 4 << 20;  // bytes: cotangents that have no place there side by side take longer than one after the other
  int64_t largest = 1;
  for (const Node& node : impl_->tape.nodes)
    for (const ValueId id : node.outputs)
      if (id != no_value) largest = std::max(largest, c10::multiply_integers(impl_->tape.values[size_t(id)].sizes));
  const int64_t K = numbers.size(1), together = std::clamp<int64_t>(cached / (largest * numbers.element_size()), 1, 16);
  std::vector<FactorSet> sets;
  bool batches = K > 1 && together > 1;
  for (int64_t k = 0; k < K; k = int64_t(sets.size())) {
    batches = batches && side_by_side(numbers.narrow(1, k, std::min(together, K - k)), sets);
    if (batches) continue;
    backward(numbers.select(1, k).sum(), /*retain_graph=*/true);
    sets.push_back(take());
  }
  return sets;
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
