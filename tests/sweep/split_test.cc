// Invariant 2: the recursion's shares equal a brute-force split of every state, forwards, one piece per draw (theory 2.3).
// What is split comes from the checkpoints and theory 2.1's table; gradients from autograd on one example alone, or, where the batch
// couples them, on one example's loss with its batch as context (theory 2.5): no tape.

#include <ATen/ops/cat.h>
#include <ATen/ops/diag_embed.h>
#include <ATen/ops/linalg_eigh.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>
#include <pathkernel/data/batch_order.h>
#include <pathkernel/tangent/contraction.h>
#include <pathkernel/train/objective.h>

#include "sweep/optimizer_table.h"
#include "sweep/small_runs.h"
#include "tangent/function_model.h"

namespace pathkernel {
namespace {

using testing::Coefficients;
using testing::flat;

constexpr int64_t N = 18, B = 7, epochs = 4, inputs = 5, classes = 3;
constexpr int64_t twice_step = 4, twice_rows[2] = {1, 5};  // the batch in which one example stands twice

/// What autograd left at the parameters, [P]; cleared.
Tensor take_gradients(Model& model) {
  std::vector<Tensor> parts;
  for (const NamedTensor& p : model.parameters()) {
    parts.push_back(p.tensor.grad().defined() ? p.tensor.grad().reshape(-1).clone() : at::zeros({p.tensor.numel()}, at::kDouble));
    p.tensor.mutable_grad() = Tensor();
  }
  return at::cat(parts);
}

/// Gauss–Legendre on [0, 1] from the eigenvalues of Legendre's Jacobi matrix (Golub and Welsch).
std::pair<Tensor, Tensor> gauss(int64_t n) {
  const Tensor k = at::arange(1, n, at::kDouble), off = k / (k * k * 4 - 1).sqrt();
  const Tensor jacobi = at::diag_embed(off, 1) + at::diag_embed(off, -1);
  const auto [nodes, vectors] = at::linalg_eigh(jacobi);
  return {(nodes + 1) / 2, vectors.select(0, 0).square()};
}

/// The weights of the network that is asked: their average, where one is kept.
const NamedTensors& asked(const Checkpoint& c) { return c.average.empty() ? c.parameters : c.average; }

/// ∫ ∂f_q/∂w along the segment by autograd, [Q, P] (logit 1 of each query).
Tensor line_integral(Model& model, const Checkpoint& now, const Checkpoint& next, const Tensor& queries) {
  const auto [nodes, weights] = gauss(16);
  const auto between = [](const NamedTensors& a, const NamedTensors& b, const Tensor& u) {
    Tensors out;
    for (size_t l = 0; l < a.size(); ++l) out.push_back(at::isFloatingType(a[l].tensor.scalar_type()) ? a[l].tensor + (b[l].tensor - a[l].tensor) * u : a[l].tensor);
    return out;
  };
  std::vector<Tensor> rows;
  for (int64_t q = 0; q < queries.size(0); ++q) {
    Tensor sum;
    for (int64_t j = 0; j < nodes.size(0); ++j) {
      model.bind_parameters(between(asked(now), asked(next), nodes[j]));
      model.bind_buffers(between(now.buffers, next.buffers, nodes[j]));
      model.forward({queries.narrow(0, q, 1)}, Mode::eval)[0][0][1].backward();
      const Tensor part = take_gradients(model) * weights[j];
      sum = sum.defined() ? sum + part : part;
    }
    rows.push_back(sum);
  }
  return at::stack(rows);
}

/// G [Q, P], and G^β·Δβ [Q].
std::pair<Tensor, Tensor> secant(Model& model, const Checkpoint& now, const Checkpoint& next, const Tensor& queries) {
  const Tensors w0 = values(asked(now)), w1 = values(asked(next)), b0 = values(now.buffers), b1 = values(next.buffers);
  const auto measurement = make_measurement("logit:1", *make_objective("cross-entropy"), {"0", "1", "2"});
  model.bind_parameters(w1);
  model.bind_buffers(b1);
  measurement->prepare(model.forward({queries}, Mode::eval), {});
  const QueryPath path(model, {queries}, *measurement);
  const auto begin = path.at(w0, b0), end = path.at(w1, b1);
  const auto G = segment_gradient({}, path, {w0, b0, *begin}, {w1, b1, *end}).G;
  const int64_t Q = queries.size(0);
  const auto written = [&](size_t l, const Tensor& like) { return materialise(G[0].parameters[l], Q, like.numel(), like.options()); };
  std::vector<Tensor> parts;
  for (size_t l = 0; l < w0.size(); ++l) parts.push_back(written(l, w0[l]));
  Tensor of_buffers = at::zeros({Q}, at::kDouble);
  for (size_t b = 0; b < b0.size(); ++b) {
    if (at::isFloatingType(b0[b].scalar_type())) of_buffers.add_(at::matmul(written(w0.size() + b, b0[b]), (b1[b] - b0[b]).reshape(-1)));
  }
  return {at::cat(parts, 1), of_buffers};
}

/// Everything of a run that does not depend on the convention.
struct Path {
  std::vector<Tensor> weights;         // [T+1] of [P]
  std::vector<Tensor> G_secant, G_line;  // [T] of [Q, P]
  Tensor buffers;                        // [Q], of the secant
  std::vector<Tensor> gradients;       // [T] of [B, P], κ M∘b_i g_i
  bool clipped = false;                // somewhere κM is clearly below 1
  std::vector<Tensor> indices;
  std::vector<Coefficients> form;
  std::vector<double> lr;
  double ema = 0;
};

/// b_i g_i of one step, [B, P].
Tensor gradients_alone(Model& model, const testing::RecordedRun& run, const Checkpoint& now, const Tensor& indices) {
  const auto objective = make_objective("cross-entropy");
  std::vector<Tensor> rows;
  for (int64_t j = 0; j < indices.size(0); ++j) {
    model.bind_parameters(values(now.parameters));
    const Tensor one = indices.narrow(0, j, 1);
    const Tensors outputs = model.forward({run.data().inputs.index_select(0, one)}, Mode::train);
    objective->losses(outputs, run.data().targets.index_select(0, one))[0].backward();
    rows.push_back(take_gradients(model) / double(indices.size(0)));
  }
  return at::stack(rows);
}

Tensor gradients_in_their_batch(Model& model, const testing::RecordedRun& run, const Checkpoint& now, const Tensor& indices) {
  model.bind_parameters(values(now.parameters));
  model.bind_buffers(copies(values(now.buffers)));
  const Tensors outputs = model.forward({run.data().inputs.index_select(0, indices)}, Mode::train);
  const Tensor losses = make_objective("cross-entropy")->losses(outputs, run.data().targets.index_select(0, indices));
  std::vector<Tensor> rows;
  for (int64_t j = 0; j < indices.size(0); ++j) {
    losses[j].backward({}, /*retain_graph=*/true);
    rows.push_back(take_gradients(model) / double(indices.size(0)));
  }
  return at::stack(rows);
}

Path walk(const testing::RecordedRun& run, const OptimizerSettings& optimizer, const Tensor& queries, bool coupled) {
  const Recording recording = run.open();
  const auto model = run.model();
  Path path;
  path.buffers = at::zeros({queries.size(0)}, at::kDouble);
  path.ema = recording.manifest().ema;
  Checkpoint now = recording.checkpoint(0);
  path.weights.push_back(flat(values(now.parameters)));
  for (int64_t s = 0; s < recording.steps(); ++s) {
    const Checkpoint next = recording.checkpoint(s + 1);
    const StepRecord step = recording.step(s);
    const Tensor gradients = coupled ? gradients_in_their_batch(*model, run, now, step.indices) : gradients_alone(*model, run, now, step.indices);
    const Tensor factor = testing::clipping(optimizer, gradients.sum(0));
    path.clipped = path.clipped || factor.min().item<double>() < 0.9;
    path.gradients.push_back(gradients * factor);
    path.indices.push_back(step.indices);
    path.weights.push_back(flat(values(next.parameters)));
    path.form.push_back(testing::coefficients(optimizer, step.lr, s, now, next, path.gradients.back().sum(0)));
    path.lr.push_back(step.lr);
    auto [G, of_buffers] = secant(*model, now, next, queries);
    path.G_secant.push_back(G);
    path.buffers.add_(of_buffers);
    path.G_line.push_back(line_integral(*model, now, next, queries));
    now = next;
  }
  return path;
}

/// The split of every state: one piece per draw, one more for decay and the initial weights. [D+1, Q]
Tensor forward_split(const Path& path, const std::vector<Tensor>& G, Convention convention) {
  int64_t D = 0;
  for (const Tensor& t : path.indices) D += t.size(0);
  const int64_t P = path.weights[0].size(0);
  Tensor memory = at::zeros({D + 1, P}, at::kDouble), weights = at::zeros({D + 1, P}, at::kDouble);
  weights[D].copy_(path.weights[0]);
  Tensor asked = weights.clone();
  Tensor split = at::zeros({D + 1, G[0].size(0)}, at::kDouble);
  int64_t first = 0;
  for (size_t s = 0; s < G.size(); ++s) {
    const Coefficients& f = path.form[s];
    Tensor u = at::zeros({D + 1, P}, at::kDouble), decay = at::zeros({D + 1, P}, at::kDouble);
    const int64_t count = path.indices[s].size(0);
    u.narrow(0, first, count).copy_(path.gradients[s]);
    first += count;
    if (convention == Convention::propagate) {
      u.add_(weights, f.omega_c);
      decay.sub_(weights, path.lr[s] * f.omega_d);
    } else {
      u[D].add_(path.weights[s], f.omega_c);
      decay[D].sub_(path.weights[s], path.lr[s] * f.omega_d);
    }
    memory = memory * f.mu + f.N * u;
    const Tensor delta = decay - f.D * memory - f.E * u;
    EXPECT_LE((delta.sum(0) - (path.weights[s + 1] - path.weights[s])).abs().max().item<double>(), 1e-13) << "the pieces do not sum to the stored update at step " << s;
    weights = weights + delta;
    const Tensor next = path.ema > 0 ? asked * path.ema + weights * (1 - path.ema) : weights;
    split.add_(at::matmul(next - asked, G[s].t()));
    asked = next;
  }
  return split;
}

class Split : public ::testing::TestWithParam<testing::NamedOptimizer> {};
std::string case_name(const ::testing::TestParamInfo<testing::NamedOptimizer>& info) { return info.param.name; }

TEST_P(Split, EqualsTheForwardSplitOfEveryState) {
  std::vector<Tensor> batches = shuffled_batches(N, B, epochs, 3);
  ASSERT_EQ(batches[2].size(0), N - 2 * B);  // the last batch of an epoch is short
  batches[twice_step][twice_rows[1]] = batches[twice_step][twice_rows[0]].clone();
  Manifest manifest = testing::manifest(GetParam().settings, "cross-entropy", B);
  manifest.checkpoint_every = 1;
  const testing::RecordedRun run(testing::network("mlp:5-8-8-3", "tanh"), testing::random_classes(N, {inputs}, classes, 1), manifest, batches);
  const Dataset asked = testing::random_classes(3, {inputs}, classes, 2);
  const Path path = walk(run, GetParam().settings, asked.inputs, /*coupled=*/false);
  EXPECT_EQ(path.clipped, GetParam().settings.clip_norm > 0 || GetParam().settings.clip_value > 0);

  for (const std::string rule : {"secant", "gauss:16"}) {
    for (const Convention convention : {Convention::propagate, Convention::ledger}) {
      SCOPED_TRACE(rule + (convention == Convention::propagate ? " propagate" : " ledger"));
      const Tensor split = forward_split(path, rule == "secant" ? path.G_secant : path.G_line, convention);
      const int64_t D = split.size(0) - 1;
      const Tensor pieces = split.narrow(0, 0, D), drawn = at::cat(path.indices);
      const Tensor shares = at::zeros({N, split.size(1)}, at::kDouble).index_add_(0, drawn, pieces);

      SweepOptions options = testing::in_double("logit:1", rule);
      options.convention = convention;
      options.sampled_steps = 0;
      const Ledger ledger = run.explain(testing::first_inputs(asked, 3), options);
      EXPECT_LE(ledger.certificate.residual_to_contributions.max().item<double>(), 1e-12);
      EXPECT_GT(shares.abs().max().item<double>(), 1e-2);
      EXPECT_LE((ledger.contributions - shares).abs().max().item<double>(), 1e-12);
      EXPECT_LE((ledger.decay - split[D]).abs().max().item<double>(), 1e-12);

      ASSERT_EQ(ledger.draws.size(0), D);
      EXPECT_TRUE(ledger.draw_example.equal(drawn));
      EXPECT_LE((ledger.draws - pieces).abs().max().item<double>(), 1e-6 * pieces.abs().max().item<double>());  // stored in float32
      const int64_t first = ledger.draw_step.lt(twice_step).sum().item<int64_t>();
      const Tensor one = ledger.draws[first + twice_rows[0]], other = ledger.draws[first + twice_rows[1]];
      EXPECT_EQ(ledger.draw_example[first + twice_rows[0]].item<int64_t>(), ledger.draw_example[first + twice_rows[1]].item<int64_t>());
      EXPECT_EQ(ledger.draw_step[first + twice_rows[1]].item<int64_t>(), twice_step);
      EXPECT_LE((one - other).abs().max().item<double>(), 1e-6 * one.abs().max().item<double>());
      EXPECT_GT(one.abs().min().item<double>(), 0);
    }
  }
}

TEST_P(Split, EqualsTheForwardSplitOfTheAveragedNetwork) {
  const std::vector<Tensor> batches = shuffled_batches(N, B, epochs, 3);
  Manifest manifest = testing::manifest(GetParam().settings, "cross-entropy", B);
  manifest.checkpoint_every = 1;
  manifest.ema = 0.7;
  const testing::RecordedRun run(testing::network("mlp:5-8-8-3", "tanh"), testing::random_classes(N, {inputs}, classes, 1), manifest, batches);
  const Dataset data = testing::random_classes(3, {inputs}, classes, 2);
  const Path path = walk(run, GetParam().settings, data.inputs, /*coupled=*/false);
  for (const Convention convention : {Convention::propagate, Convention::ledger}) {
    SCOPED_TRACE(convention == Convention::propagate ? "propagate" : "ledger");
    const Tensor split = forward_split(path, path.G_secant, convention);
    const int64_t D = split.size(0) - 1;
    const Tensor shares = at::zeros({N, split.size(1)}, at::kDouble).index_add_(0, at::cat(path.indices), split.narrow(0, 0, D));
    SweepOptions options = testing::in_double("logit:1");
    options.convention = convention;
    options.sampled_steps = 0;
    const Ledger ledger = run.explain(testing::first_inputs(data, 3), options);
    EXPECT_EQ(ledger.settings.network, "average");
    EXPECT_GT(shares.abs().max().item<double>(), 1e-2);
    EXPECT_LE((ledger.contributions - shares).abs().max().item<double>(), 1e-12);
    EXPECT_LE((ledger.decay - split[D]).abs().max().item<double>(), 1e-12);
  }
}

/// Dense layers with batch norm between them, in training mode and with running statistics.
std::unique_ptr<Model> normed_net() {
  at::manual_seed(6);
  const auto make = [](std::vector<int64_t> shape) { return at::randn(shape, at::kDouble) * 0.6; };
  NamedTensors w = {{"a.weight", make({6, inputs})}, {"n.weight", make({6}) + 1}, {"n.bias", make({6})}, {"b.weight", make({classes, 6})}, {"b.bias", make({classes})}};
  NamedTensors buffers = {{"n.running_mean", at::zeros({6}, at::kDouble)}, {"n.running_var", at::ones({6}, at::kDouble)}, {"n.num_batches_tracked", at::zeros({}, at::kLong)}};
  return std::make_unique<testing::FunctionModel>(w, buffers, [](const Tensors& w, const Tensors& b, const Tensor& x, Mode mode) {
    if (mode == Mode::train) b[2].add_(1);
    return at::linear(at::tanh(at::batch_norm(at::linear(x, w[0]), w[1], w[2], b[0], b[1], mode == Mode::train, 0.1, 1e-5, true)), w[3], w[4]);
  });
}

TEST_P(Split, EqualsTheForwardSplitWithCoupledBatches) {
  const std::vector<Tensor> batches = shuffled_batches(N, B, 3, 3);
  Manifest manifest = testing::manifest(GetParam().settings, "cross-entropy", B);
  manifest.checkpoint_every = 1;
  const testing::RecordedRun run(normed_net, testing::random_classes(N, {inputs}, classes, 1), manifest, batches);
  const Dataset asked = testing::random_classes(3, {inputs}, classes, 2);
  const Path path = walk(run, GetParam().settings, asked.inputs, /*coupled=*/true);

  for (const std::string rule : {"secant", "gauss:16"}) {
    for (const Convention convention : {Convention::propagate, Convention::ledger}) {
      SCOPED_TRACE(rule + (convention == Convention::propagate ? " propagate" : " ledger"));
      const Tensor split = forward_split(path, rule == "secant" ? path.G_secant : path.G_line, convention);
      const int64_t D = split.size(0) - 1;
      const Tensor pieces = split.narrow(0, 0, D);
      const Tensor shares = at::zeros({N, split.size(1)}, at::kDouble).index_add_(0, at::cat(path.indices), pieces);
      SweepOptions options = testing::in_double("logit:1", rule);
      options.convention = convention;
      options.sampled_steps = 0;
      const Ledger ledger = run.explain(testing::first_inputs(asked, 3), options);
      EXPECT_TRUE(ledger.settings.coupled);
      EXPECT_GT(shares.abs().max().item<double>(), 1e-2);
      EXPECT_LE((ledger.contributions - shares).abs().max().item<double>(), 1e-10);
      EXPECT_LE((ledger.decay - split[D]).abs().max().item<double>(), 1e-10);
      EXPECT_LE((ledger.draws - pieces).abs().max().item<double>(), 1e-6 * pieces.abs().max().item<double>());
      if (rule != "secant") continue;
      EXPECT_LE((ledger.buffers - path.buffers).abs().max().item<double>(), 1e-10);
      EXPECT_GT(ledger.buffers.abs().max().item<double>(), 1e-2);
      EXPECT_LE(ledger.residual.abs().max().item<double>(), 1e-12 * shares.abs().sum(0).max().item<double>());
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Optimizers, Split, ::testing::ValuesIn(testing::all_optimizers()), case_name);

}  // namespace
}  // namespace pathkernel
