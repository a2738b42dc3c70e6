// Machines on disk: every kind answers the same after it was written and read, scores are their formulas, damage and misuse are named.

#include "problem.h"

#include <pathkernel/core/error.h>
#include <pathkernel/data/safetensors.h>
#include <pathkernel/kernel/gram.h>
#include <pathkernel/machine/machine_file.h>
#include <pathkernel/machine/ridge.h>

#include <ATen/ops/stack.h>
#include <ATen/ops/zeros.h>
#include <scratch.h>

#include <cmath>
#include <numbers>

namespace pathkernel {
namespace {

using testing::largest_difference;
using testing::Scratch;

class Trained : public ::testing::Test, protected testing::Problem {
 protected:
  const Tensor labels = y.gt(y.median()).to(at::kLong);
  const Tensor thirds = (x.select(1, 0) > 0.4).to(at::kLong) + (x.select(1, 1) > 0).to(at::kLong);
  const Tensor two = at::stack({y, y.square()}, 1);

  TrainedMachine machine(TrainedMachine::Fitted fitted, std::vector<std::string> classes = {}) const {
    return {"test", kernel->specification(), std::nullopt, x, std::move(classes), at::tensor({0.5, -0.25}, at::kDouble), {{"lambda", 0.1}}, std::move(fitted)};
  }
  std::vector<TrainedMachine> all() const {
    const RandomFeatures features = fourier_features_of(*kernel, 4, 50, 3);
    return {machine(KernelExpansion{fit_ridge(K, two, 0.1).alpha}),
            machine(fit_gaussian_process(K, two, 0.1)),
            machine(fit_laplace_binary(K, labels), {"no", "yes"}),
            machine(fit_laplace_multiclass(K, thirds, 3), {"a", "b", "c"}),
            machine(fit_svm(K, thirds, 3), {"a", "b", "c"}),
            machine(fit_svm(K, labels, 2, {.probability = true}), {"no", "yes"}),
            machine(fit_kernel_pca(K, 3)),
            machine(FourierExpansion{fit_random_features(features, x, two, 0.1).weights, 4, 50, 3})};
  }
};

void expect_same(const Tensor& a, const Tensor& b, const char* what, const std::string& kind) {
  ASSERT_EQ(a.defined(), b.defined()) << kind << " " << what;
  // numbers that were read lie in other strides, for which BLAS sums in another order
  if (a.defined()) {
    EXPECT_LE(largest_difference(a, b), 1e-13 * (1 + a.abs().max().item<double>())) << kind << " " << what;
  }
}

TEST_F(Trained, AnswersAreTheSameAfterWritingAndReading) {
  for (const TrainedMachine& m : all()) {
    const Scratch scratch;
    const std::string kind = std::to_string(m.fitted.index());
    save_machine(scratch.path("m"), m);
    const TrainedMachine read = load_machine(scratch.path("m"));
    const MachinePrediction before = predict_inputs(m, x_new), after = predict_inputs(read, x_new);
    expect_same(before.outputs, after.outputs, "outputs", kind);
    expect_same(before.classes, after.classes, "classes", kind);
    expect_same(before.variance, after.variance, "variance", kind);
    expect_same(before.probabilities, after.probabilities, "probabilities", kind);
    EXPECT_EQ(read.classes, m.classes);
    EXPECT_EQ(read.numbers, m.numbers);
    EXPECT_EQ(read.kernel, m.kernel);
  }
}

TEST_F(Trained, AGramMatrixFromElsewhereNeedsNoInputs) {
  TrainedMachine m = machine(fit_gaussian_process(K, two, 0.1));
  m.kernel.clear();
  m.inputs = Tensor();
  const Scratch scratch;
  save_machine(scratch.path("m"), m);
  const TrainedMachine read = load_machine(scratch.path("m"));
  const MachinePrediction p = predict(read, K_new, k_new);
  EXPECT_LE(largest_difference(p.outputs, fit_gaussian_process(K, two, 0.1).mean(K_new) + m.offset), 1e-13);
  EXPECT_SAYS(predict_inputs(read, x_new), "fitted on a Gram matrix from elsewhere");
  EXPECT_SAYS(predict(read, K_new), "is undefined");
}

TEST_F(Trained, PredictionsInPiecesAreThoseInOne) {
  for (const TrainedMachine& m : all()) {
    const MachinePrediction whole = predict_inputs(m, x), pieces = predict_inputs(m, x, 64 * 30 * 7);  // 7 rows at a time
    EXPECT_LE(largest_difference(whole.outputs, pieces.outputs), 1e-13);
    if (whole.probabilities.defined()) {
      EXPECT_LE(largest_difference(whole.probabilities, pieces.probabilities), 1e-13);
    }
  }
}

TEST_F(Trained, ScoresAreTheirFormulas) {
  const std::vector<TrainedMachine> machines = all();
  const Tensor truth = at::stack({x_new.select(1, 0).sin(), x_new.select(1, 1)}, 1);
  const MachinePrediction p = predict_inputs(machines[1], x_new);
  const Score s = score(machines[1], p, truth);
  const Tensor error = truth - p.outputs, variance = (p.variance + 0.1).unsqueeze(1);
  EXPECT_NEAR(*s.root_mean_square, std::sqrt(error.square().mean().item<double>()), 1e-14);
  EXPECT_NEAR(*s.r_squared, 1 - error.square().sum().item<double>() / (truth - truth.mean(0)).square().sum().item<double>(), 1e-13);
  const Tensor density = (-0.5 * error.square() / variance).exp() / (2 * std::numbers::pi * variance).sqrt();
  EXPECT_NEAR(*s.log_density, density.log().sum(1).mean().item<double>(), 1e-12);
  const MachinePrediction q = predict_inputs(machines[2], x_new);
  const Tensor target = at::tensor({0, 1, 1, 0, 1}, at::kLong);
  const Score c = score(machines[2], q, target);
  double right = 0, loss = 0;
  for (int64_t i = 0; i < 5; ++i) {
    const int64_t t = target[i].item<int64_t>();
    right += q.probabilities[i][t].item<double>() > 0.5 ? 0.2 : 0;
    loss -= std::log(q.probabilities[i][t].item<double>()) / 5;
  }
  EXPECT_NEAR(*c.accuracy, right, 1e-14);
  EXPECT_NEAR(*c.log_loss, loss, 1e-13);
  EXPECT_SAYS(score(machines[6], predict_inputs(machines[6], x_new), truth), "components predict nothing");
  EXPECT_SAYS(score(machines[1], p, truth.select(1, 0)), "the machine predicts 2 numbers for each");
  EXPECT_SAYS(score(machines[2], q, target.to(at::kDouble)), "expected int64 [5]");
}

TEST_F(Trained, DamageIsNamed) {
  const Scratch scratch;
  const std::string folder = scratch.path("m"), path = folder + "/machine.safetensors";
  save_machine(folder, all()[4]);
  const SafetensorsFile good = read_safetensors(path);
  const auto with = [&](const std::string& key, const std::string& value) {
    auto metadata = good.metadata;
    metadata[key] = value;
    write_safetensors(path, good.tensors, metadata);
    return testing::message_of<CorruptData>([&] { load_machine(folder); });
  };
  EXPECT_NE(with("version", "2").find("is of version 2; this program reads version 1"), std::string::npos);
  EXPECT_NE(with("format", "pathkernel ledger").find("is a pathkernel ledger, not a pathkernel machine"), std::string::npos);
  EXPECT_NE(with("type", "tree").find("no machine of the type 'tree'"), std::string::npos);
  EXPECT_NE(with("classes", "7").find("classes or numbers in the metadata"), std::string::npos);
  EXPECT_NE(with("type", "expansion").find("tensor 'alpha' is missing"), std::string::npos);
  NamedTensors changed = good.tensors;
  for (NamedTensor& t : changed)
    if (t.name == "rho") t.tensor = t.tensor + 1e-9;
  write_safetensors(path, changed, good.metadata);
  EXPECT_NE(testing::message_of<CorruptData>([&] { load_machine(folder); }).find("their checksum differs"), std::string::npos);
  EXPECT_SAYS(load_machine(scratch.path("nowhere")), "holds no machine.safetensors");
}

}  // namespace
}  // namespace pathkernel
