// Invariant 8: what cannot be done exactly is refused by name, or done with the error stated. Never a silent number.

#include <ATen/ops/linear.h>
#include <gtest/gtest.h>
#include <pathkernel/core/error.h>
#include <pathkernel/data/batch_order.h>
#include <pathkernel/explain/agreement.h>
#include <pathkernel/core/hash.h>
#include <pathkernel/record/database.h>
#include <pathkernel/record/format.h>
#include <pathkernel/train/objective.h>

#include <fstream>
#include <limits>

#include "sweep/small_runs.h"
#include "tangent/function_model.h"

namespace pathkernel {
namespace {

using testing::RecordedRun;

double largest(const Tensor& t) { return t.abs().max().item<double>(); }

TrainTest data_parts() { return {testing::random_classes(18, {5}, 3, 1), testing::random_classes(6, {5}, 3, 2)}; }

/// 12 steps in float64 with checkpoints at 0, 4, 8, 12.
RecordedRun some_run(OptimizerSettings optimizer = {.lr = 0.1, .momentum = 0.9}) {
  Manifest manifest = testing::manifest(optimizer, "cross-entropy", 7);
  manifest.checkpoint_every = 4;
  return RecordedRun(testing::network("mlp:5-8-8-3", "tanh"), data_parts().train, manifest, shuffled_batches(18, 7, 4, 3));
}

void change_log(const RecordedRun& run, const std::string& sql) {
  Database database(run.path() + "/recording.sqlite", Database::Access::existing);
  database.run(sql);
  std::vector<StepRecord> lines;
  Statement rows = database.prepare("SELECT step, indices, random_seed, lr, loss, hash FROM steps");
  while (rows.next())
    lines.push_back({rows.integer(0), format::indices_from(rows.blob(1), rows.integer(0)), format::parse_hex(rows.text(2)), rows.real(3), rows.real(4), format::parse_hex(rows.text(5))});
  for (const StepRecord& line : lines)  // as a program would have written them
    database.prepare("UPDATE steps SET checksum=? WHERE step=?").bind_text(1, hex(format::checksum(line))).bind(2, line.step).next();
}

/// An .npy file of float64 numbers.
void write_doubles(const std::string& path, const std::string& shape, const std::vector<double>& numbers, const std::string& type = "<f8") {
  std::string header = "{'descr': '" + type + "', 'fortran_order': False, 'shape': (" + shape + "), }";
  header.resize(118 - 1, ' ');
  header += '\n';
  std::ofstream out(path, std::ios::binary);
  out << "\x93NUMPY" << '\x01' << '\0' << char(header.size()) << '\0' << header;
  out.write(reinterpret_cast<const char*>(numbers.data()), std::streamsize(numbers.size() * sizeof(double)));
}

/// A network whose gradient is changed on its way to the optimizer, where no example did it.
TEST(Refusal, AGradientThatIsNotTheSumOfItsExamples) {
  const auto make = [](double factor) -> testing::MakeModel {
    return [factor] {
      at::manual_seed(4);
      NamedTensors w = {{"a.weight", at::randn({3, 5}, at::kDouble)}};
      return std::make_unique<testing::FunctionModel>(w, NamedTensors{}, [factor](const Tensors& w, const Tensors&, const Tensor& x, Mode mode) {
        const Tensor weight = w[0].view_as(w[0]);
        if (mode == Mode::train && factor != 1) weight.register_hook([factor](const Tensor& g) { return g * factor; });
        return at::linear(x, weight);
      });
    };
  };
  for (const double factor : {1., 1.001}) {
    const RecordedRun run(make(factor), data_parts().train, testing::manifest({.lr = 0.1}, "cross-entropy", 7), shuffled_batches(18, 7, 2, 3));
    const auto explain = [&] { run.explain(testing::first_inputs(data_parts().test, 2), testing::in_double("logits")); };
    if (factor == 1) EXPECT_NO_THROW(explain());
    else EXPECT_THROW(explain(), InvariantViolated);
  }
}

TEST(Refusal, QueriesThatAreNotUnderstood) {
  const TrainTest data = data_parts();
  EXPECT_REFUSED(InvalidInput, "row 6 is out of range; there are 6 examples (0 to 5)", select_queries("test:0-6", data));
  EXPECT_REFUSED(InvalidInput, "row 18 is out of range; there are 18", select_queries("train:3,18", data));
  EXPECT_REFUSED(InvalidInput, "runs backwards", select_queries("test:3-1", data));
  EXPECT_REFUSED(InvalidInput, "'x' is no row number", select_queries("test:x", data));
  EXPECT_REFUSED(InvalidInput, "no row number", select_queries("test:-1", data));
  EXPECT_REFUSED(InvalidInput, "no row number", select_queries("test:1,,2", data));
  EXPECT_REFUSED(InvalidInput, "no row number", select_queries("test:99999999999999999999", data));
  EXPECT_REFUSED(InvalidInput, "no rows", select_queries("test:", data));
  EXPECT_REFUSED(InvalidInput, "not understood", select_queries("validation:1", data));
  EXPECT_REFUSED(InvalidInput, "not understood", select_queries("", data));
  EXPECT_REFUSED(InvalidInput, "no test part", select_queries("test:0", {data.train, {}}));
  EXPECT_EQ(select_queries("test:all", data).info.size(), 6u);
  EXPECT_EQ(select_queries("train:3,5,9-12", data).info.size(), 6u);
}

TEST(Refusal, QueryFiles) {
  const TrainTest data = data_parts();
  const testing::Scratch folder;
  const std::string path = folder.path("asked.npy");
  EXPECT_REFUSED(InvalidInput, "asked.npy", select_queries(path, data));
  write_doubles(path, "2, 4", std::vector<double>(8, 1));
  EXPECT_REFUSED(InvalidInput, "float64 [2, 4], but the network's inputs are [n, 5]", select_queries(path, data));
  write_doubles(path, "5,", std::vector<double>(5, 1));
  EXPECT_REFUSED(InvalidInput, "[n, 5]", select_queries(path, data));
  write_doubles(path, "0, 5", {});
  EXPECT_REFUSED(InvalidInput, "[0, 5]", select_queries(path, data));
  for (const double bad : {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()}) {
    write_doubles(path, "2, 5", {0, 1, 2, bad, 4, 5, 6, 7, 8, 9});
    EXPECT_REFUSED(InvalidInput, "NaN or infinite", select_queries(path, data));
  }
  write_doubles(path, "2, 5", std::vector<double>(10, 0), "<i8");
  EXPECT_REFUSED(InvalidInput, "floating point", select_queries(path, data));
  write_doubles(path, "2, 5", std::vector<double>(10, 1));
  EXPECT_EQ(select_queries(path, data).inputs[0].size(0), 2);
}

TEST(Refusal, RulesAndMeasurements) {
  for (const char* name : {"secand", "", "gauss", "gauss:", "gauss:0", "gauss:65", "gauss:2x", "gauss:-1"}) EXPECT_REFUSED(InvalidInput, "is not known", GradientRule::parse(name, 1));
  EXPECT_REFUSED(InvalidInput, "panels 0", GradientRule::parse("secant", 0));
  const auto objective = make_objective("cross-entropy");
  for (const char* name : {"logodds", "", "logit", "logit:", "logit:x", "logit:-1", "output:1.5"}) EXPECT_REFUSED(InvalidInput, "is not known", make_measurement(name, *objective, {}));

  const RecordedRun run = some_run();
  const Queries queries = testing::first_inputs(run.data(), 3);
  EXPECT_REFUSED(InvalidInput, "gives 3 numbers per input (0 to 2)", run.explain(queries, testing::in_double("logit:3")));
  Queries unlabelled = queries;
  unlabelled.targets = Tensor();
  EXPECT_REFUSED(InvalidInput, "no class labels", run.explain(unlabelled, testing::in_double("margin")));
  EXPECT_REFUSED(InvalidInput, "targets", run.explain(unlabelled, testing::in_double("loss")));
  Queries other_label = queries;
  other_label.targets = queries.targets + 2;
  EXPECT_REFUSED(InvalidInput, "label", run.explain(other_label, testing::in_double("margin")));
  run.explain(unlabelled, testing::in_double("log-odds"));
}

TEST(Refusal, ClassesOfANetworkWithOneOutput) {
  Dataset line;
  line.name = "line";
  line.inputs = at::arange(6, at::kDouble).unsqueeze(1);
  line.targets = at::arange(6, at::kDouble).tanh();
  const RecordedRun run(testing::network("mlp:1-4-1", "tanh"), line, testing::manifest({.lr = 0.01}, "mse", 3), shuffled_batches(6, 3, 1, 3));
  for (const char* name : {"log-odds", "margin", "log-prob"}) EXPECT_REFUSED(InvalidInput, "use measure output:0", run.explain(testing::first_inputs(line, 2), testing::in_double(name)));
}

TEST(Refusal, InputsOfAnotherKind) {
  const RecordedRun run = some_run();
  EXPECT_REFUSED(InvalidInput, "no queries", run.explain({}, testing::in_double("log-odds")));
  Queries wide = testing::first_inputs(testing::random_classes(2, {6}, 3, 1), 2);
  EXPECT_REFUSED(InvalidInput, "6", run.explain(wide, testing::in_double("log-odds")));
  Queries broken = testing::first_inputs(run.data(), 2);
  broken.inputs[0] = broken.inputs[0].clone();
  broken.inputs[0][1][2] = std::numeric_limits<double>::quiet_NaN();
  EXPECT_REFUSED(InvalidInput, "NaN", run.explain(broken, testing::in_double("log-odds")));
}

TEST(Refusal, PathKernelOfSeveralOutputs) {
  const RecordedRun run = some_run();
  SweepOptions options = testing::in_double("logit:0");
  options.path_kernel = true;
  EXPECT_REFUSED(InvalidInput, "path kernel", run.explain(testing::first_inputs(run.data(), 2), options));
}

TEST(Refusal, TooLittleMemoryOrPrecision) {
  const RecordedRun run = some_run();
  SweepOptions options = testing::in_double("log-odds");
  options.memory = 1000;
  EXPECT_REFUSED(InvalidInput, "memory allows", run.explain(testing::first_inputs(run.data(), 2), options));
  options = testing::in_double("log-odds");
  options.precision = at::kFloat;
  EXPECT_REFUSED(InvalidInput, "precision double", run.explain(testing::first_inputs(run.data(), 2), options));
}

TEST(Refusal, AnotherModelOrOtherData) {
  const RecordedRun run = some_run();
  const Queries queries = testing::first_inputs(run.data(), 2);
  const Recording recording = run.open();
  const auto sweep_with = [&](const char* model, const Dataset& data) {
    return sweep(recording, *make_model(model, "tanh", 3, at::kDouble), data, queries, testing::in_double("log-odds"));
  };
  EXPECT_REFUSED(InvalidInput, "mlp:5-8-8-3", sweep_with("mlp:5-9-8-3", run.data()));
  EXPECT_REFUSED(InvalidInput, "17 examples, but 18", sweep_with("mlp:5-8-8-3", testing::random_classes(17, {5}, 3, 1)));
  EXPECT_REFUSED(InvalidInput, "fingerprint", sweep_with("mlp:5-8-8-3", testing::random_classes(18, {5}, 3, 7)));
}

TEST(Refusal, FlippedBitInACheckpoint) {
  const RecordedRun run = some_run();
  const std::string file = run.path() + "/checkpoints/step-00000004.safetensors";
  std::fstream stream(file, std::ios::in | std::ios::out | std::ios::binary);
  stream.seekg(-5, std::ios::end);
  const char byte = char(stream.peek() ^ 1);
  stream.seekp(-5, std::ios::end);
  stream.write(&byte, 1);
  stream.close();
  EXPECT_REFUSED(CorruptData, "step-00000004.safetensors", run.explain(testing::first_inputs(run.data(), 2), testing::in_double("log-odds")));
}

/// The log's hash of a step that replays as before: a difference in name only. It is reported, and the sum stays complete.
TEST(Refusal, DriftIsReported) {
  const RecordedRun run = some_run();
  const Queries queries = testing::first_inputs(run.data(), 3);
  const Ledger before = run.explain(queries, testing::in_double("log-odds"));
  EXPECT_TRUE(before.certificate.replay_exact);
  change_log(run, "UPDATE steps SET hash='0123456789abcdef' WHERE step=5");
  const Ledger after = run.explain(queries, testing::in_double("log-odds"));
  EXPECT_FALSE(after.certificate.replay_exact);
  EXPECT_EQ(after.certificate.first_drift, 5);
  EXPECT_NE(after.certificate.brief("").find("drifted from step 5"), std::string::npos) << after.certificate.brief("");
  EXPECT_LE(largest(after.contributions - before.contributions), 1e-14);
  SweepOptions strict = testing::in_double("log-odds");
  strict.strict = true;
  EXPECT_REFUSED(ReplayMismatch, "step 5", run.explain(queries, strict));
}

/// Steps replayed with other learning rates than the recorded path took: what the path did beyond them is rounding, and all adds up.
TEST(Refusal, DriftIsBookedAsRounding) {
  for (const auto& optimizer : {OptimizerSettings{.lr = 0.1, .weight_decay = 0.05}, {.lr = 0.1, .momentum = 0.9, .weight_decay = 0.05}, {.name = "adamw", .lr = 0.01, .weight_decay = 0.1}}) {
    for (const Convention convention : {Convention::propagate, Convention::ledger}) {
      SCOPED_TRACE(optimizer.name);
      const RecordedRun run = some_run(optimizer);
      SweepOptions options = testing::in_double("logits");
      options.convention = convention;
      const Queries queries = testing::first_inputs(run.data(), 3);
      const Ledger before = run.explain(queries, options);
      change_log(run, "UPDATE steps SET lr=lr*1.5 WHERE step IN (1, 5)");
      const Ledger after = run.explain(queries, options);
      EXPECT_EQ(after.certificate.first_drift, 1);
      EXPECT_LE(largest(after.certificate.residual_to_contributions), 1e-12);
      EXPECT_EQ(first_disagreement(after), "");
      EXPECT_LE(largest(before.rounding), 1e-14);
      EXPECT_GT(largest(after.rounding), 1e-4);
      EXPECT_LE(largest(after.final - before.final), 1e-14);
      EXPECT_LE(largest(after.initial - before.initial), 1e-14);
    }
  }
}

/// A query that nothing moved has no scale to measure a residual against; docs/ledger.md says infinite, never a comforting zero.
/// A step so large that the account overflows: no ledger, rather than one that claims a residual of zero.
TEST(Refusal, AnAccountThatOverflows) {
  const RecordedRun run(testing::network("mlp:5-8-3", "relu", at::kFloat), data_parts().train, testing::manifest({.lr = 1e30}, "cross-entropy", 18), shuffled_batches(18, 18, 1, 3));
  for (const at::ScalarType precision : {at::kFloat, at::kDouble}) {
    SweepOptions options = testing::in_double("logits");
    options.precision = precision;
    EXPECT_REFUSED(InvalidInput, "leaves the finite numbers", run.explain(testing::first_inputs(run.data(), 2), options));
  }
}

TEST(Refusal, NothingMoved) {
  const RecordedRun run = some_run({.lr = 0});
  const Ledger ledger = run.explain(testing::first_inputs(run.data(), 2), testing::in_double("logits"));
  EXPECT_EQ(largest(ledger.contributions), 0);
  EXPECT_EQ(largest(ledger.residual), 0);
  EXPECT_EQ(first_disagreement(ledger), "");
}

}  // namespace
}  // namespace pathkernel
