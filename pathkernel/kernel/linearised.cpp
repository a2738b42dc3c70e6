#include <pathkernel/kernel/linearised.h>

#include <pathkernel/core/error.h>
#include <pathkernel/core/rows.h>
#include <pathkernel/tangent/capture.h>
#include <pathkernel/tangent/contraction.h>
#include <pathkernel/tangent/coupled_batch.h>
#include <pathkernel/tangent/example_gradients.h>
#include <pathkernel/tangent/pushforward.h>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros.h>
#include <fmt/format.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>

namespace pathkernel {
namespace {

/// One forward pass of a block of inputs, written for both directions: autograd's graph for Jᵀv, the tape for Jv.
struct Pass {
  Pass(Model& model, const Tensors& inputs) {
    const at::AutoGradMode on(true);
    Capture capture(tape, Side::forward, model.parameters(), model.buffers(), inputs);
    outputs = first_output_numbers(model.forward(inputs, Mode::eval));
    id = tape.find(outputs);
    if (id == no_value || !tape.values[size_t(id)].active)
      throw InvalidInput("linearised network: the outputs do not come from the parameters by operations that torch differentiates");
  }

  Tape tape;
  Tensor outputs;  ///< [b, O], on autograd's graph
  ValueId id = no_value;
};

}  // namespace

Tensor first_output_numbers(const Tensors& outputs) { return outputs.at(0).reshape({outputs.at(0).size(0), -1}); }

struct Linearised::Impl {
  Impl(Model& model, Tensors inputs) : model(model), inputs(std::move(inputs)), parameters(pathkernel::values(model.parameters())) {}

  /// A block of inputs, from its kept pass or a new one.
  template <class Use>
  void with_pass(size_t b, const Use& use) const {
    if (kept.size() > b) return use(*kept[b]);
    const Pass pass(model, rows(inputs, begin(b), count(b)));
    use(pass);
  }
  int64_t begin(size_t b) const { return int64_t(b) * block; }
  int64_t count(size_t b) const { return std::min(block, n - begin(b)); }
  size_t blocks() const { return size_t((n + block - 1) / block); }

  /// Of an input, over what its pass keeps whatever the batch.
  void choose_blocks(int64_t memory) {
    const int64_t one = Pass(model, rows(inputs, 0, 1)).tape.bytes(), two = n > 1 ? Pass(model, rows(inputs, 0, 2)).tape.bytes() : 2 * one;
    const double each = std::max<double>(1, double(two - one)) + 8.0 * double(O);
    block = std::clamp<int64_t>(int64_t(double(memory) / 2 / each), 1, std::min<int64_t>(512, n));
    keeps = double(n) * each + double(blocks()) * double(one) <= double(memory);
  }

  /// That an output is of its own input alone: the first two inputs together and by themselves.
  void check_owners(const Tensor& together) const {
    if (n < 2) return;
    const at::NoGradGuard no_grad;
    const Tensor two = together.narrow(0, 0, 2), alone = at::cat({first_output_numbers(model.forward(rows(inputs, 0, 1), Mode::eval)),
                                                                  first_output_numbers(model.forward(rows(inputs, 1, 1), Mode::eval))});
    const double off = (two - alone).abs().max().item<double>(), scale = alone.abs().max().item<double>();
    if (off > (alone.scalar_type() == at::kDouble ? 1e-9 : 1e-4) * std::max(scale, 1e-300))
      throw CoupledBatch(fmt::format("linearised network: an output differs by {:.2g} of the largest with other inputs in its batch: the network's outputs depend on them too", off / scale));
  }

  Model& model;
  Tensors inputs, parameters;
  int64_t n = 0, O = 0, block = 1;
  bool keeps = false;
  std::vector<std::unique_ptr<Pass>> kept;
  Tensor values;
};

Linearised::Linearised(Model& model, Tensors inputs, int64_t memory) : impl_(std::make_unique<Impl>(model, std::move(inputs))) {
  Impl& me = *impl_;
  me.n = me.inputs.empty() || me.inputs[0].dim() == 0 ? 0 : me.inputs[0].size(0);
  if (me.n == 0) throw InvalidInput("linearised network: no inputs were given");
  if (me.parameters.empty()) throw InvalidInput("linearised network: the model has no parameters");
  {
    const at::NoGradGuard no_grad;
    me.O = first_output_numbers(model.forward(rows(me.inputs, 0, 1), Mode::eval)).size(1);
  }
  me.choose_blocks(memory);
  Tensors parts;
  for (size_t b = 0; b < me.blocks(); ++b) {
    auto pass = std::make_unique<Pass>(model, rows(me.inputs, me.begin(b), me.count(b)));
    parts.push_back(pass->outputs.detach());
    if (me.keeps) me.kept.push_back(std::move(pass));
  }
  me.values = at::cat(parts);
  me.check_owners(me.values);
}

Linearised::~Linearised() = default;

int64_t Linearised::examples() const { return impl_->n; }
int64_t Linearised::outputs() const { return impl_->O; }
const Tensor& Linearised::values() const { return impl_->values; }

Tensors Linearised::pull(const Tensor& V) const {
  const Impl& me = *impl_;
  const int64_t k = V.size(1);
  const Tensor v = V.to(me.values.options()).reshape({me.n, me.O, k});
  Tensors sum(me.parameters.size());
  for (size_t b = 0; b < me.blocks(); ++b)
    me.with_pass(b, [&](const Pass& pass) {
      for (int64_t c = 0; c < k; ++c) {
        const Tensor cotangent = v.narrow(0, me.begin(b), me.count(b)).select(2, c);
        const Tensors g = torch::autograd::grad({pass.outputs}, me.parameters, {cotangent}, /*retain_graph=*/true, /*create_graph=*/false, /*allow_unused=*/true);
        for (size_t l = 0; l < g.size(); ++l) {
          if (!g[l].defined()) continue;
          if (!sum[l].defined()) sum[l] = at::zeros({k, g[l].numel()}, g[l].options());
          sum[l][c].add_(g[l].detach().reshape(-1));
        }
      }
    });
  return sum;
}

Tensor Linearised::push(const Tensors& v) const {
  const Impl& me = *impl_;
  const auto some = std::find_if(v.begin(), v.end(), [](const Tensor& t) { return t.defined(); });
  const int64_t k = some == v.end() ? 0 : some->size(0);
  Tensors parts;
  for (size_t b = 0; b < me.blocks(); ++b)
    me.with_pass(b, [&](const Pass& pass) { parts.push_back(pushforward(pass.tape, pass.id, v).permute({1, 2, 0})); });  // [b, O, k]
  return at::cat(parts).reshape({me.n * me.O, k});
}

Tensor Linearised::column(int64_t row) const {
  const Impl& me = *impl_;
  const Pass one(me.model, rows(me.inputs, row / me.O, 1));
  Tensors g = torch::autograd::grad({one.outputs[0][row % me.O]}, me.parameters, {}, /*retain_graph=*/false, /*create_graph=*/false, /*allow_unused=*/true);
  for (Tensor& t : g)
    if (t.defined()) t = t.detach().reshape({1, -1});
  return push(g).squeeze(1);
}

Tensor Linearised::diagonal() const {
  const Impl& me = *impl_;
  constexpr int64_t some = 16;  // squares are the diagonal of a Gram block: few at a time
  Tensors parts;
  for (int64_t i = 0; i < me.n; i += some) {
    const int64_t count = std::min(some, me.n - i);
    const std::vector<FactorSet> sets = example_gradients(me.model, rows(me.inputs, i, count), {}, first_output_numbers);
    Tensors outputs;
    for (const FactorSet& set : sets) {
      Tensor squares = at::zeros({count}, me.values.options());
      for (size_t l = 0; l < me.parameters.size(); ++l)  // lists of buffers stand behind
        if (const FactorList& g = set.parameters[l]; !g.empty()) squares += inner(g, g, count, count).diagonal();
      outputs.push_back(squares);
    }
    parts.push_back(at::stack(outputs, 1));
  }
  return at::cat(parts).reshape(-1);
}

}  // namespace pathkernel
