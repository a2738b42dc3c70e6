// Runs trained with each loss: the measurement "loss" is complete by exact rules, across kinks too, and is the derivative in the limit.

#include <ATen/ops/randint.h>
#include <ATen/ops/randn.h>
#include <gtest/gtest.h>
#include <pathkernel/data/batch_order.h>
#include <pathkernel/explain/agreement.h>
#include <pathkernel/tangent/contraction.h>
#include <pathkernel/train/objective.h>

#include "sweep/small_runs.h"

namespace pathkernel {
namespace {

double largest(const Tensor& t) { return t.abs().max().item<double>(); }

struct LossCase {
  std::string name, loss;
  int64_t outputs;
  bool classes;  ///< targets are labels, not numbers
};

std::vector<LossCase> losses() {
  return {{"cross_entropy", "cross-entropy", 3, true},     {"label_smoothing", "label-smoothing:0.1", 3, true},
          {"hinge", "hinge", 3, true},                     {"mse", "mse", 3, false},
          {"huber", "huber:0.3", 3, false},                {"huber_one", "huber:0.3", 1, false},
          {"bce_labels", "bce-with-logits", 3, false},     {"bce_two_classes", "bce-with-logits", 1, true}};
}

Dataset data_for(const LossCase& c) {
  Dataset data = testing::random_classes(18, {5}, c.outputs > 1 ? c.outputs : 2, 1);
  if (c.classes) return data;
  at::manual_seed(6);
  data.targets = at::rand(c.outputs > 1 ? std::vector<int64_t>{18, c.outputs} : std::vector<int64_t>{18}, at::kDouble);
  data.class_names.clear();
  return data;
}

class EachLoss : public ::testing::TestWithParam<LossCase> {};

TEST_P(EachLoss, IsComplete) {
  const LossCase& c = GetParam();
  const std::string model = "mlp:5-8-" + std::to_string(c.outputs);
  for (const std::string reduction : {"mean", "sum"}) {
    // A learning rate at which scores move by more than the losses' kinks are wide.
    for (const OptimizerSettings& optimizer : {OptimizerSettings{.lr = reduction == "mean" ? 0.5 : 0.07, .momentum = 0.8}, {.name = "adamw", .lr = 0.05, .weight_decay = 0.1}}) {
      SCOPED_TRACE(reduction + " " + describe(optimizer));
      Manifest manifest = testing::manifest(optimizer, c.loss, 7);
      manifest.reduction = reduction;
      const testing::RecordedRun run(testing::network(model, "tanh"), data_for(c), manifest, shuffled_batches(18, 7, 4, 3));
      for (const std::string measure : {"loss", "output:0"}) {
        const Ledger ledger = run.explain(testing::first_inputs(run.data(), 6), testing::in_double(measure));
        EXPECT_LE(largest(ledger.certificate.residual_to_contributions), 1e-12);
        EXPECT_EQ(ledger.certificate.correction_share, 0) << "an operation had no rule of its own";
        EXPECT_EQ(first_disagreement(ledger), "");
        EXPECT_GT(ledger.contributions.abs().sum().item<double>(), 0.1);
      }
    }
  }
}

/// Gradients of the summed loss at w by autograd, flat.
Tensor autograd_of(Model& model, const Objective& objective, const Tensors& w, const Tensor& inputs, const Tensor& targets) {
  Tensors leaves = copies(w);
  for (Tensor& t : leaves) t.set_requires_grad(true);
  model.bind_parameters(leaves);
  objective.losses(model.forward({inputs}, Mode::eval), targets).sum().backward();
  Tensors flat;
  for (const NamedTensor& p : model.parameters()) flat.push_back(p.tensor.grad().reshape(-1));
  return at::cat(flat);
}

TEST_P(EachLoss, RuleIsExactForLargeStepsAndTheDerivativeForNone) {
  const LossCase& c = GetParam();
  const Dataset data = data_for(c);
  const auto objective = make_objective(c.loss);
  const auto measurement = make_measurement("loss", *objective, {});
  const auto model = make_model("mlp:5-8-" + std::to_string(c.outputs), "tanh", 3, at::kDouble);
  at::manual_seed(9);
  const Tensors w0 = copies(values(model->parameters()));
  measurement->prepare(model->forward({data.inputs}, Mode::eval), data.targets);
  const QueryPath path(*model, {data.inputs}, *measurement);
  const auto begin = path.at(w0, {});
  const int64_t n = data.inputs.size(0);
  for (const double size : {1e-9, 1e-4, 0.03, 1.0, 30.0}) {
    SCOPED_TRACE(size);
    Tensors w1 = copies(w0);
    for (Tensor& w : w1) w.add_(at::randn(w.sizes(), w.options()), size);
    const auto end = path.at(w1, {});
    const auto G = segment_gradient({}, path, {w0, {}, *begin}, {w1, {}, *end}).G;
    Tensor change = at::zeros({n}, at::kDouble);
    for (size_t l = 0; l < w0.size(); ++l) change += contract(G[0].parameters[l], (w1[l] - w0[l]).reshape({1, -1}), n).squeeze(1);
    model->bind_parameters(w0);
    const Tensor before = objective->losses(model->forward({data.inputs}, Mode::eval), data.targets).detach();
    model->bind_parameters(w1);
    const Tensor after = objective->losses(model->forward({data.inputs}, Mode::eval), data.targets).detach();
    EXPECT_LE(largest(change - (after - before)), 1e-14 * (1 + largest(after)));
  }
  const auto G = segment_gradient({}, path, {w0, {}, *begin}, {w0, {}, *begin}).G;
  Tensors sums;
  for (size_t l = 0; l < w0.size(); ++l) sums.push_back(sum_over_examples(G[0].parameters[l], w0[l].numel(), w0[l].options()).reshape(-1));
  EXPECT_LE(largest(at::cat(sums) - autograd_of(*model, *objective, w0, data.inputs, data.targets)), 1e-14);
}

INSTANTIATE_TEST_SUITE_P(All, EachLoss, ::testing::ValuesIn(losses()), [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace pathkernel
