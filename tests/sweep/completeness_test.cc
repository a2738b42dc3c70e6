// Invariant 1: every prediction is its initial value plus the ledger's terms, on every kind of net, measurement and recording.

#include <ATen/ops/addmm.h>
#include <ATen/ops/atan2.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/cumprod.h>
#include <ATen/ops/logcumsumexp.h>
#include <ATen/ops/mm.h>
#include <gtest/gtest.h>
#include <pathkernel/data/batch_order.h>
#include <pathkernel/explain/agreement.h>
#include <pathkernel/record/format.h>
#include <pathkernel/tangent/contraction.h>
#include <pathkernel/train/objective.h>

#include <filesystem>

#include "sweep/small_runs.h"

namespace pathkernel {
namespace {

using testing::RecordedRun;

double largest(const Tensor& t) { return t.abs().max().item<double>(); }

/// A net whose operations have no rule: running products, running logsumexp, and an angle a parameter takes part in.
class RulelessModel : public Model {
 public:
  explicit RulelessModel(at::ScalarType dtype) {
    at::manual_seed(4);
    const auto make = [&](std::vector<int64_t> shape) { return (at::randn(shape, at::kDouble) * 0.5).to(dtype).set_requires_grad(true); };
    parameters_ = {{"in.weight", make({6, 5})}, {"in.bias", make({6})}, {"angle", make({6})}, {"out.weight", make({6, 3})}, {"out.bias", make({3})}};
  }
  NamedTensors parameters() const override { return parameters_; }
  NamedTensors buffers() const override { return {}; }
  Tensors forward(const Tensors& inputs, Mode) override {
    const auto& p = parameters_;
    const Tensor h = at::addmm(p[1].tensor, inputs[0], p[0].tensor.t());
    const Tensor mixed = at::cumprod(at::tanh(h) + 1, 1) * 0.3 + at::logcumsumexp(h, 1);
    return {at::addmm(p[4].tensor, at::atan2(mixed, p[2].tensor), p[3].tensor)};
  }
  std::string specification() const override { return "ruleless"; }

 private:
  NamedTensors parameters_;
};

struct Net {
  std::string name;
  std::function<std::unique_ptr<Model>(at::ScalarType)> make;
  std::vector<int64_t> inputs;
  int64_t examples, batch;
  double epochs;
};

std::vector<Net> nets() {
  const auto built_in = [](const std::string& name, const std::string& activation) {
    return [=](at::ScalarType dtype) { return make_model(name, activation, 3, dtype); };
  };
  return {
      {"mlp_tanh", built_in("mlp:5-8-8-3", "tanh"), {5}, 18, 7, 3},
      {"mlp_relu", built_in("mlp:5-16-16-3", "relu"), {5}, 18, 7, 3},
      {"mlp_gelu", built_in("mlp:5-8-3", "gelu"), {5}, 18, 7, 2},
      {"mlp_silu", built_in("mlp:5-8-3", "silu"), {5}, 18, 7, 2},
      {"lenet", built_in("lenet", "relu"), {1, 28, 28}, 24, 8, 2},
      {"ruleless", [](at::ScalarType dtype) { return std::make_unique<RulelessModel>(dtype); }, {5}, 18, 7, 3},
  };
}

OptimizerSettings momentum() { return {.lr = 0.05, .momentum = 0.9, .weight_decay = 0.01}; }
OptimizerSettings adamw() { return {.name = "adamw", .lr = 0.005, .weight_decay = 0.1}; }

RecordedRun record(const Net& net, const OptimizerSettings& optimizer, at::ScalarType dtype, int64_t classes = 3) {
  Dataset data = testing::random_classes(net.examples, net.inputs, net.name == "lenet" ? 10 : classes, 1);
  data.inputs = data.inputs.to(dtype);
  return RecordedRun([=] { return net.make(dtype); }, data, testing::manifest(optimizer, "cross-entropy", net.batch),
                     shuffled_batches(net.examples, net.batch, net.epochs, 3));
}

/// The certificate's residual and the sum itself, both below `share` of Σ|c|; every view adds up; nothing is NaN.
void expect_complete(const Ledger& ledger, double share) {
  EXPECT_LE(largest(ledger.certificate.residual_to_contributions), share);
  const Tensor sum = ledger.initial + ledger.change();
  const Tensor size = ledger.contributions.abs().sum(0);
  EXPECT_LE(((ledger.final - sum).abs() / size).max().item<double>(), share);
  EXPECT_GT(size.min().item<double>(), 0);
  EXPECT_EQ(first_disagreement(ledger), "");
  for (const Tensor* t : {&ledger.contributions, &ledger.draws, &ledger.outputs, &ledger.by_layer_step, &ledger.by_class_step, &ledger.residual}) EXPECT_TRUE(t->isfinite().all().item<bool>());
}

class Complete : public ::testing::TestWithParam<Net> {};
std::string net_name(const ::testing::TestParamInfo<Net>& info) { return info.param.name; }

TEST_P(Complete, Float64) {
  for (const auto& optimizer : {momentum(), adamw()}) {
    SCOPED_TRACE(optimizer.name);
    const RecordedRun run = record(GetParam(), optimizer, at::kDouble);
    const Ledger ledger = run.explain(testing::first_inputs(run.data(), 4), testing::in_double("log-odds"));
    expect_complete(ledger, 1e-12);
    EXPECT_EQ(ledger.certificate.correction_share > 0, GetParam().name == "ruleless");
    EXPECT_TRUE(ledger.certificate.replay_exact);
  }
}

TEST_P(Complete, Float32AndItsPathInFloat64) {
  for (const auto& optimizer : {momentum(), adamw()}) {
    SCOPED_TRACE(optimizer.name);
    const RecordedRun run = record(GetParam(), optimizer, at::kFloat);
    const Queries queries = testing::first_inputs(run.data(), 4);
    SweepOptions single = testing::in_double("log-odds");
    single.precision = at::kFloat;
    const Ledger rough = run.explain(queries, single);
    expect_complete(rough, 1e-6);
    const Ledger fine = run.explain(queries, testing::in_double("log-odds"));
    expect_complete(fine, 1e-12);
    EXPECT_GT(largest(fine.rounding), 0);  // the float32 updates' own roundings, booked and small
    EXPECT_LE(largest(fine.certificate.rounding_to_change), 1e-3);
    EXPECT_LE(((rough.contributions - fine.contributions).abs().sum(0) / fine.contributions.abs().sum(0)).max().item<double>(), 1e-4);
  }
}

INSTANTIATE_TEST_SUITE_P(Nets, Complete, ::testing::ValuesIn(nets()), net_name);

/// A learning rate far too high, or inputs that were never scaled: e^x of such differences is not a number of the machine.
TEST(Completeness, LogitsThatMoveByThousands) {
  for (const at::ScalarType precision : {at::kFloat, at::kDouble}) {
    const RecordedRun run(testing::network("mlp:5-8-3", "tanh", precision), testing::random_classes(18, {5}, 3, 1), testing::manifest({.lr = 2e3}, "cross-entropy", 6), shuffled_batches(18, 6, 1, 3));
    for (const std::string measure : {"log-odds", "log-prob", "loss"}) {
      SCOPED_TRACE(measure);
      SweepOptions options = testing::in_double(measure);
      options.precision = precision;
      const Ledger ledger = run.explain(testing::first_inputs(run.data(), 6), options);
      EXPECT_GT(largest(ledger.outputs), 1000);
      expect_complete(ledger, precision == at::kDouble ? 1e-12 : 1e-6);
    }
  }
}

TEST(Completeness, PanelsAreAllComplete) {
  const RecordedRun run = record(nets()[1], momentum(), at::kDouble);
  for (const int64_t panels : {1, 2, 4}) expect_complete(run.explain(testing::first_inputs(run.data(), 4), testing::in_double("margin", "secant", panels)), 1e-12);
}

TEST(Completeness, EveryMeasurement) {
  const RecordedRun run = record(nets()[0], momentum(), at::kDouble);
  const Queries queries = testing::first_inputs(run.data(), 4);
  const Ledger logits = run.explain(queries, testing::in_double("logits"));
  expect_complete(logits, 1e-12);
  ASSERT_EQ(logits.query_count(), 12);
  for (const std::string measure : {"log-odds", "margin", "log-prob", "logit:2", "loss", "output:0"}) {
    SCOPED_TRACE(measure);
    const Ledger ledger = run.explain(queries, testing::in_double(measure));
    expect_complete(ledger, 1e-12);
    ASSERT_EQ(ledger.query_count(), 4);
    ASSERT_EQ(ledger.queries.size(), 4u);
    if (measure != "logit:2" && measure != "output:0") continue;
    const int64_t class_number = measure == "logit:2" ? 2 : 0;  // every third column, class by class
    const Tensor same = logits.contributions.slice(1, class_number, 12, 3);
    EXPECT_LE(largest(ledger.contributions - same), 1e-13);
  }
}

TEST(Completeness, OutputsAreTheMeasurementAlongThePath) {
  Manifest manifest = testing::manifest(momentum(), "cross-entropy", 7);
  manifest.checkpoint_every = 1;
  const RecordedRun run(testing::network("mlp:5-8-8-3", "tanh"), testing::random_classes(18, {5}, 3, 1), manifest, shuffled_batches(18, 7, 2, 3));
  const Queries queries = testing::first_inputs(run.data(), 4);
  const Ledger ledger = run.explain(queries, testing::in_double("logits"));
  const Recording recording = run.open();
  const auto model = run.model();
  ASSERT_EQ(ledger.outputs.size(0), recording.steps() + 1);
  for (int64_t s = 0; s <= recording.steps(); ++s) {
    model->bind_parameters(values(recording.checkpoint(s).parameters));
    EXPECT_LE(largest(model->forward(queries.inputs, Mode::eval)[0].detach().reshape(-1) - ledger.outputs[s]), 1e-14) << "step " << s;
  }
  EXPECT_TRUE(ledger.outputs[0].equal(ledger.initial));
  EXPECT_TRUE(ledger.outputs[-1].equal(ledger.final));
}

TEST(Completeness, StreamedQueriesGiveTheSameLedger) {
  for (const auto& optimizer : {momentum(), adamw()}) {
    const RecordedRun run = record(nets()[0], optimizer, at::kDouble);
    for (const std::string measure : {"log-odds", "logits", "margin", "loss"}) {
      SCOPED_TRACE(measure + " " + optimizer.name);
      const Queries queries = testing::first_inputs(run.data(), 7);
      const Ledger whole = run.explain(queries, testing::in_double(measure));
      SweepOptions little = testing::in_double(measure);
      little.memory = 1 << 15;
      int64_t steps = 0;
      const auto streamed = [&]() -> Ledger {
        for (;; little.memory += little.memory / 4) {  // the least memory that is enough, about
          try {
            return run.explain(queries, little, [&](const std::string&, int64_t, int64_t total) { steps = total; });
          } catch (const InvalidInput&) {
            if (little.memory > (1 << 26)) throw;
          }
        }
      };
      const Ledger parts = streamed();
      EXPECT_GE(steps, 2 * run.open().steps()) << "one chunk only";
      for (const auto& [a, b] : {std::pair{whole.contributions, parts.contributions}, {whole.decay, parts.decay}, {whole.outputs, parts.outputs}, {whole.rounding, parts.rounding},
                                 {whole.by_layer, parts.by_layer}, {whole.by_step, parts.by_step}, {whole.certificate.split_uncertainty, parts.certificate.split_uncertainty}})
        EXPECT_LE(largest(a - b), 1e-12);
      EXPECT_LE(largest(whole.draws - parts.draws), 1e-7 * largest(whole.draws));
      for (size_t q = 0; q < whole.queries.size(); ++q) EXPECT_EQ(whole.queries[q].measurement, parts.queries[q].measurement);
      expect_complete(parts, 1e-12);
    }
  }
}

/// The run as a kill leaves it: steps after the last checkpoint, no checkpoint of the end.
TEST(Completeness, InterruptedRun) {
  for (const auto& optimizer : {momentum(), adamw()}) {
    const RecordedRun run = record(nets()[0], optimizer, at::kDouble);
    const Queries queries = testing::first_inputs(run.data(), 4);
    const Ledger whole = run.explain(queries, testing::in_double("logits"));
    const int64_t T = run.open().steps();
    std::filesystem::remove(run.open().checkpoint_steps().back() == T ? run.path() + "/checkpoints/step-0000000" + std::to_string(T) + ".safetensors" : "");
    {
      Database database(run.path() + "/recording.sqlite", Database::Access::existing);
      database.run("DELETE FROM checkpoints WHERE step=" + std::to_string(T) + "; UPDATE manifest SET value='\"running\"' WHERE key='status'");
      format::seal(database);
    }
    EXPECT_EQ(run.open().status(), RunStatus::running);
    EXPECT_LT(run.open().checkpoint_steps().back(), T);
    const Ledger ledger = run.explain(queries, testing::in_double("logits"));
    expect_complete(ledger, 1e-12);
    EXPECT_TRUE(ledger.contributions.equal(whole.contributions));

    // And one that lost steps as well.
    Database(run.path() + "/recording.sqlite", Database::Access::existing).run("DELETE FROM steps WHERE step>=" + std::to_string(T - 1));
    const Ledger shorter = run.explain(queries, testing::in_double("logits"));
    expect_complete(shorter, 1e-12);
    EXPECT_LE(largest(shorter.final - whole.outputs[T - 1]), 1e-14);
  }
}

TEST(Completeness, StoppedByItsProgress) {
  const testing::Scratch folder;
  const Dataset data = testing::random_classes(18, {5}, 3, 1);
  const auto make = testing::network("mlp:5-8-8-3", "tanh");
  const auto model = make();
  const Progress stop = [](const std::string&, int64_t done, int64_t) { if (done >= 6) throw std::runtime_error("enough"); };
  EXPECT_THROW(record_run(folder.path("run"), testing::manifest(momentum(), "cross-entropy", 7), *model, data, shuffled_batches(18, 7, 4, 3), stop), std::runtime_error);
  const Recording recording = Recording::open(folder.path("run"));
  ASSERT_GT(recording.steps(), 0);
  ASSERT_LT(recording.steps(), 12);
  const auto again = make();
  expect_complete(sweep(recording, *again, data, testing::first_inputs(data, 4), testing::in_double("log-odds")), 1e-12);
}

/// Scalar regression: one step is c_i = −ℓ′_i·K(x, x_i) with the path kernel of theory 1, and longer runs give finite numbers.
TEST(Completeness, PathKernel) {
  Dataset data;
  data.name = "line";
  at::manual_seed(2);
  data.inputs = at::randn({8, 1}, at::kDouble);
  data.targets = (data.inputs * 2).sin().squeeze(1);
  const auto make = testing::network("mlp:1-8-1", "tanh");
  SweepOptions options = testing::in_double("output:0");
  options.path_kernel = true;
  for (const auto& optimizer : {OptimizerSettings{.lr = 0.1}, OptimizerSettings{.lr = 0.1, .momentum = 0.9}, adamw()}) {
    SCOPED_TRACE(optimizer.name);
    const RecordedRun one(make, data, testing::manifest(optimizer, "mse", 8), shuffled_batches(8, 8, 1, 3));
    const Ledger step = one.explain(testing::first_inputs(data, 5), options);
    expect_complete(step, 1e-12);
    const Tensor slope = (make()->forward({data.inputs}, Mode::eval)[0].detach().squeeze(1) - data.targets) * 2;
    EXPECT_LE(largest(step.contributions + slope.unsqueeze(1) * step.path_kernel), 1e-14);
    EXPECT_GT(largest(step.path_kernel), 1e-3);

    const RecordedRun longer(make, data, testing::manifest(optimizer, "mse", 3), shuffled_batches(8, 3, 5, 3));
    const Ledger ledger = longer.explain(testing::first_inputs(data, 5), options);
    expect_complete(ledger, 1e-12);
    EXPECT_TRUE(ledger.path_kernel.isfinite().all().item<bool>());
  }
}

/// A uniform shift of the logits earns nothing: with the last layer's bias moved by the same number for all classes, log-odds stay.
TEST(Completeness, UniformShiftEarnsNothing) {
  const auto model = make_model("mlp:5-8-3", "tanh", 3, at::kDouble);
  const Dataset asked = testing::random_classes(4, {5}, 3, 2);
  const auto objective = make_objective("cross-entropy");
  for (const std::string measure : {"log-odds", "log-prob", "margin", "loss"}) {
    SCOPED_TRACE(measure);
    const auto measurement = make_measurement(measure, *objective, asked.class_names);
    const Tensors w0 = copies(values(model->parameters()));
    Tensors w1 = copies(w0);
    for (Tensor& w : w1) w.add_(at::randn(w.sizes(), w.options()), 0.3);
    measurement->prepare(model->forward({asked.inputs}, Mode::eval), asked.targets);
    const QueryPath path(*model, {asked.inputs}, *measurement);
    const auto begin = path.at(w0, {}), end = path.at(w1, {});
    const auto G = segment_gradient({}, path, {w0, {}, *begin}, {w1, {}, *end}).G;
    const Tensor shift = contract(G[0].parameters.back(), at::zeros({1, 3}, at::kDouble) + 1, 4);  // ⟨G of fc2.bias, (1, 1, 1)⟩
    EXPECT_LE(largest(shift), 1e-15);
  }
}

}  // namespace
}  // namespace pathkernel
