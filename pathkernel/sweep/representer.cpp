#include <pathkernel/sweep/representer.h>

#include <pathkernel/core/error.h>
#include <pathkernel/model/own_weights.h>
#include <pathkernel/record/replay.h>
#include <pathkernel/record/step_rate.h>
#include <pathkernel/sweep/evaluation.h>
#include <pathkernel/tangent/catcher.h>
#include <pathkernel/tangent/contraction.h>

#include <ATen/ops/cat.h>
#include <ATen/ops/einsum.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros.h>
#include <fmt/format.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <optional>

namespace pathkernel {
namespace {

/// What a pass of a training step shows of its examples.
struct ExampleSide {
  Tensor weighted;             ///< b_i ∂ℓ_i/∂f(x_i), [B, O]
  std::vector<FactorSet> J;    ///< ∂f_o(x_i)/∂w, one set for each output
};

/// Catches outputs' gradients in a training step, in its own forward pass.
class OutputCatcher : public StepObserver {
 public:
  void before_forward(Model& model, const Batch& batch) override {
    Tensors examples = batch.inputs;
    examples.push_back(batch.targets);
    catcher_.emplace(model.parameters(), model.buffers(), examples);
  }

  void after_forward(const Tensors& outputs, const Tensor& losses, const Tensor& weights) override {
    catcher_->forward_done();
    const Tensor z = outputs.at(0).reshape({losses.size(0), -1});
    ExampleSide side;
    for (int64_t o = 0; o < z.size(1); ++o) {
      catcher_->backward(z.select(1, o).sum(), /*retain_graph=*/true);
      side.J.push_back(catcher_->take().to(at::kDouble));
    }
    const Tensors r = torch::autograd::grad({losses.sum()}, {outputs[0]}, {}, /*retain_graph=*/true, /*create_graph=*/false, /*allow_unused=*/true);
    side.weighted = (r[0].defined() ? r[0].detach().to(at::kDouble).reshape(z.sizes()) : at::zeros(z.sizes(), at::kDouble)) * weights.detach().to(at::kDouble).unsqueeze(1);
    passes.push_back(std::move(side));
  }

  void after_backward() override { catcher_.reset(); }

  std::vector<ExampleSide> passes;

 private:
  std::optional<Catcher> catcher_;
};

/// Δw of a step against Σ α ∂f/∂w: equal, or this optimizer is no plain SGD.
void check_moves(const std::vector<ExampleSide>& passes, double rate, const Tensors& before, const Tensors& after, const NamedTensors& parameters, int64_t step) {
  for (size_t l = 0; l < before.size(); ++l) {
    Tensor moved = at::zeros({before[l].numel()}, at::kDouble);
    for (const ExampleSide& side : passes)
      for (size_t o = 0; o < side.J.size(); ++o)
        if (const FactorList& g = side.J[o].parameters[l]; !g.empty())
          moved += weighted_sums(g, -rate * side.weighted.select(1, int64_t(o)).unsqueeze(0), before[l].numel()).squeeze(0).to(at::kDouble);
    const Tensor change = (after[l].to(at::kDouble) - before[l].to(at::kDouble)).reshape(-1);
    const double off = (change - moved).abs().max().item<double>(), size = moved.abs().max().item<double>(), weight = before[l].abs().max().item<double>();
    const double epsilon = before[l].scalar_type() == at::kDouble ? 1e-15 : 1e-6;
    if (off <= 1e5 * epsilon * size + 4 * epsilon * weight) continue;
    throw InvalidInput(fmt::format("representer: at step {} '{}' moved otherwise than by -lr times the batch's gradient (by {:.2g}, of {:.2g}): momentum, decay, clipping or an "
                                   "optimizer with a memory leaves no coefficients that are the same for all inputs (theory 1); ask the ledger for its draws",
                                   step, parameters[l].name, off, size));
  }
}

/// ⟨G_k(x), J_o(x_i)⟩ over all parameters: [n·K, B, O].
Tensor between(const SegmentGradient& segment, const std::vector<ExampleSide>& passes, size_t parameters, int64_t inputs) {
  Tensors queries;
  for (const FactorSet& G : segment.G) {
    Tensors batches;
    for (const ExampleSide& side : passes) {
      const int64_t B = side.weighted.size(0), O = side.weighted.size(1);
      Tensor K = at::zeros({inputs, B, O}, at::kDouble);
      for (int64_t o = 0; o < O; ++o)
        for (size_t l = 0; l < parameters; ++l) {
          const FactorList &g = G.parameters[l], &h = side.J[size_t(o)].parameters[l];
          if (!g.empty() && !h.empty()) K.select(2, o).add_(inner(g, h, inputs, B));
        }
      batches.push_back(K);
    }
    queries.push_back(at::cat(batches, 1));
  }
  const Tensor all = at::stack(queries, 1);  // [n, K, B, O]
  return all.flatten(0, 1);
}

std::unique_ptr<Measurement> measurement_of(const RepresenterOptions& options, const Replay& replay, const Dataset& data) {
  return options.measurement ? options.measurement() : make_measurement(options.measure, replay.trainer().objective(), data.class_names);
}

}  // namespace

Tensor RepresenterStep::contributions() const { return at::einsum("io,qio->iq", {alpha, kernel}); }

void representer(const Recording& recording, const Learner& learner, const Dataset& data, const Queries& queries, const RepresenterOptions& options,
                 const std::function<void(const RepresenterStep&)>& use) {
  const int64_t T = recording.steps(), until = options.until < 0 ? T : options.until;
  if (options.from < 0 || options.from >= until || until > T)
    throw InvalidInput(fmt::format("representer: steps {} to {} were asked for, but {} has steps 0 to {}", options.from, until - 1, recording.folder(), T - 1));
  if (!queries.sets.empty()) throw InvalidInput("representer: it is of single inputs; sets are sums of their members' kernels");
  Model& model = learner.model;
  const OwnWeights own(model);
  const Tensors inputs = in(at::kDouble, queries.inputs);
  Replay replay(recording, learner, data);
  const std::unique_ptr<Measurement> measurement = measurement_of(options, replay, data);
  const auto go_to = [&](int64_t s) {
    int64_t checkpoint = 0;
    for (const int64_t c : recording.checkpoint_steps())
      if (c <= s) checkpoint = c;
    replay.restore(checkpoint);
    while (replay.position() < s) replay.advance();
  };
  const auto now = [&] { return AskedNetwork{copies(values(model.parameters()), at::kDouble), in(at::kDouble, copies(values(model.buffers())))}; };
  go_to(T);
  {
    const AskedNetwork end = now();
    const OwnWeights replayed(model);
    measurement->about(inputs);
    const Tensors outputs = outputs_of(model, end, inputs);
    measurement->prepare(outputs, queries.targets);
  }
  go_to(options.from);
  const QueryPath path(model, inputs, *measurement);
  const NamedTensors parameters = model.parameters();
  const auto point = [&](const AskedNetwork& network) {
    const OwnWeights replayed(model);
    return path.at(network.weights, network.buffers);
  };
  AskedNetwork begin = now();
  std::unique_ptr<PathPoint> at_begin = point(begin);
  for (int64_t s = options.from; s < until; ++s) {
    OutputCatcher caught;
    const Tensors before = copies(values(parameters));
    const Replay::Repeated repeated = replay.advance(&caught);
    RepresenterStep result{s, step_rate(repeated.record, "representer"), repeated.record.indices, {}, {}};
    check_moves(caught.passes, result.rate, before, values(model.parameters()), parameters, s);
    AskedNetwork end = now();
    std::unique_ptr<PathPoint> at_end = point(end);
    const SegmentGradient segment = [&] {
      const OwnWeights replayed(model);
      return segment_gradient(options.rule, path, {begin.weights, begin.buffers, *at_begin}, {end.weights, end.buffers, *at_end});
    }();
    Tensors alphas;
    for (const ExampleSide& side : caught.passes) alphas.push_back(-result.rate * side.weighted);
    result.alpha = at::cat(alphas);
    result.kernel = between(segment, caught.passes, parameters.size(), path.inputs());
    use(result);
    if (options.progress) options.progress("representer", s + 1 - options.from, until - options.from);
    begin = std::move(end);
    at_begin = std::move(at_end);
  }
}

}  // namespace pathkernel
