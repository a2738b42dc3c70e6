// Fine-tuning in function space, against Jacobians written out and the same problem solved over the weights (theory 8).

#include <ATen/ops/bmm.h>
#include <ATen/ops/diag_embed.h>
#include <ATen/ops/einsum.h>
#include <ATen/ops/eye.h>
#include <ATen/ops/linalg_inv.h>
#include <ATen/ops/linalg_solve.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/tanh.h>
#include <gtest/gtest.h>
#include <pathkernel/kernel/linearised.h>
#include <pathkernel/machine/finetune.h>
#include <pathkernel/machine/machine_file.h>
#include <pathkernel/model/architectures.h>
#include <pathkernel/tangent/coupled_batch.h>
#include <scratch.h>
#include <sweep/small_runs.h>
#include <tangent/function_model.h>

#include <cmath>
#include <numbers>

#include "../kernel/jacobians.h"
#include "problem.h"

namespace pathkernel {
namespace {

using testing::jacobians;
using testing::normal;

void expect_close(const Tensor& found, const Tensor& expected, double relative) {
  ASSERT_EQ(found.sizes(), expected.sizes());
  EXPECT_LE((found - expected).abs().max().item<double>(), relative * expected.abs().max().item<double>());
}

/// A small network, 7 examples, 4 queries, with everything written out.
struct Little {
  explicit Little(const std::string& architecture = "mlp:5-6-3", std::vector<int64_t> shape = {5}) : model(make_model(architecture, "tanh", 3, at::kDouble)) {
    shape.insert(shape.begin(), 7);
    x = normal(shape, 11);
    shape[0] = 4;
    q = normal(shape, 12);
    J = jacobians(*model, x), J_q = jacobians(*model, q);
    f = model->forward({x}, Mode::eval)[0].detach(), f_q = model->forward({q}, Mode::eval)[0].detach();
    P = J.size(2), O = J.size(1);
  }
  Tensor flat() const { return J.reshape({-1, P}); }
  std::unique_ptr<Model> model;
  Tensor x, q, J, J_q, f, f_q;
  int64_t P, O;
};

class LinearisedNetworks : public ::testing::TestWithParam<std::pair<std::string, std::vector<int64_t>>> {};

TEST_P(LinearisedNetworks, AreTheirJacobians) {
  const Little net(GetParam().first, GetParam().second);
  const Tensor J = net.flat(), V = normal({J.size(0), 3}), W = normal({2, net.P}, 2);
  for (const int64_t memory : {int64_t{4} << 30, int64_t{1}}) {  // kept, and one input at a time, made anew for every product
    const Linearised linear(*net.model, {net.x}, memory);
    EXPECT_TRUE(linear.values().allclose(net.f, 1e-13, 1e-13));
    const Tensors pulled = linear.pull(V);
    expect_close(at::cat(pulled, 1), at::matmul(V.t(), J), 1e-12);
    Tensors directions;
    int64_t at = 0;
    for (const Tensor& part : pulled) directions.push_back(W.narrow(1, at, part.size(1))), at += part.size(1);
    expect_close(linear.push(directions), at::matmul(J, W.t()), 1e-12);
    expect_close(linear.product(V), at::matmul(J, at::matmul(J.t(), V)), 1e-12);
    expect_close(linear.column(net.O + 1 % net.O), at::matmul(J, J[net.O + 1 % net.O]), 1e-12);
    expect_close(linear.diagonal(), J.square().sum(1), 1e-12);
  }
}

INSTANTIATE_TEST_SUITE_P(Models, LinearisedNetworks,
                         ::testing::Values(std::pair("mlp:5-6-3", std::vector<int64_t>{5}), std::pair("mlp:4-5-1", std::vector<int64_t>{4}),
                                           std::pair("resnet:2-3-4-3", std::vector<int64_t>{2, 6, 6})));

TEST(Finetune, OfNumbersIsTheGaussianProcessOverTheWeights) {
  const Little net;
  const double s0 = 0.7, noise = 0.05;
  const Tensor y = normal({7, 3}, 5), J = net.flat();
  for (const bool from_network : {true, false}) {
    const Finetuned fit = finetune(*net.model, {net.x}, y, {.prior = {s0}, .noise = {noise}, .from_network = from_network});
    const Tensor m = from_network ? net.f : y.mean(0).expand({7, 3}), m_q = from_network ? net.f_q : y.mean(0).expand({4, 3}), r = (y - m).reshape(-1);
    const Tensor A = at::matmul(J.t(), J) / noise + at::eye(net.P, at::kDouble) / s0;
    const Tensor v = at::linalg_solve(A, at::matmul(J.t(), r) / noise);
    expect_close(fit.change, v, 1e-10);
    const FinetunedPrediction p = predict(*net.model, fit, {net.x}, {net.q});
    expect_close(p.outputs, m_q + at::matmul(net.J_q, v), 1e-10);
    expect_close(p.covariance, at::bmm(at::matmul(net.J_q, at::linalg_inv(A)), net.J_q.transpose(1, 2)), 1e-10);
    EXPECT_FALSE(p.probabilities.defined());
    const Tensor C = s0 * at::matmul(J, J.t()) + noise * at::eye(21, at::kDouble);
    const double evidence = -0.5 * r.dot(at::linalg_solve(C, r)).item<double>() - 0.5 * C.logdet().item<double>() - 10.5 * std::log(2 * std::numbers::pi);
    EXPECT_NEAR(fit.log_evidence, evidence, 1e-10 * std::abs(evidence));
    EXPECT_LT(fit.residual, 1e-12);
  }
}

/// Σ −log softmax(m + Jv) + ‖v‖²/2s₀ by Newton over the weights, and the Gauss-Newton covariance there.
struct OverTheWeights {
  OverTheWeights(const Little& net, const Tensor& m, const Tensor& y, double s0) {
    const Tensor J = net.flat();
    v = at::zeros({net.P}, at::kDouble);
    for (int step = 0; step < 50; ++step) {
      const Tensor f = m + at::matmul(net.J, v), p = at::softmax(f, 1);
      const Tensor L = at::diag_embed(p) - at::einsum("ic,id->icd", {p, p});
      A = at::einsum("iow,iop,ipz->wz", {net.J, L, net.J}) + at::eye(net.P, at::kDouble) / s0;
      const Tensor gradient = at::matmul(J.t(), (p - y).reshape(-1)) + v / s0;
      v = v - at::linalg_solve(A, gradient);
    }
    const Tensor f = m + at::matmul(net.J, v);
    log_evidence = ((y * at::log_softmax(f, 1)).sum() - v.square().sum() / (2 * s0) - 0.5 * (A * s0).logdet()).item<double>();
  }
  Tensor v, A;
  double log_evidence = 0;
};

TEST(Finetune, OfClassesIsNewtonOverTheWeights) {
  const Little net;
  const Tensor labels = at::tensor({0, 2, 1, 1, 0, 2, 2}, at::kLong), y = at::zeros({7, 3}, at::kDouble).scatter_(1, labels.unsqueeze(1), 1);
  for (const bool from_network : {true, false})
    for (const double s0 : {0.3, 30.0}) {
      const Finetuned fit = finetune(*net.model, {net.x}, labels, {.prior = {s0}, .from_network = from_network});
      const Tensor m = from_network ? net.f : at::zeros_like(net.f);
      const OverTheWeights weights(net, m, y, s0);
      EXPECT_TRUE(fit.classes && fit.converged);
      expect_close(fit.change, weights.v, 1e-9);
      EXPECT_NEAR(fit.log_evidence, weights.log_evidence, 1e-9 * std::abs(weights.log_evidence));
      const FinetunedPrediction p = predict(*net.model, fit, {net.x}, {net.q});
      expect_close(p.outputs, (from_network ? net.f_q : at::zeros_like(net.f_q)) + at::matmul(net.J_q, weights.v), 1e-9);
      expect_close(p.covariance, at::bmm(at::matmul(net.J_q, at::linalg_inv(weights.A)), net.J_q.transpose(1, 2)), 1e-9);
      EXPECT_TRUE(p.probabilities.sum(1).allclose(at::ones({4}, at::kDouble), 1e-12, 1e-12));
      EXPECT_GT(p.probability_error, 0);
      EXPECT_LT(p.probability_error, 0.02);
    }
}

/// One output is the logistic function of one process: the machine of algorithms 3.1 and 3.2, where the mean is zero.
TEST(Finetune, OfTwoClassesByOneOutputIsTheBinaryMachine) {
  const Little net("mlp:4-5-1", {4});
  const Tensor labels = at::tensor({0, 1, 1, 0, 1, 0, 0}, at::kLong), J = net.flat(), J_q = net.J_q.squeeze(1);
  const double s0 = 4;
  const Finetuned fit = finetune(*net.model, {net.x}, labels, {.prior = {s0}, .from_network = false});
  const LaplaceBinary binary = fit_laplace_binary(s0 * at::matmul(J, J.t()), labels);
  const Tensor K_q = s0 * at::matmul(J_q, J.t()), k_qq = s0 * J_q.square().sum(1);
  const FinetunedPrediction p = predict(*net.model, fit, {net.x}, {net.q});
  expect_close(p.outputs.squeeze(1), binary.mean(K_q), 1e-9);
  expect_close(p.covariance.reshape(-1), binary.variance(K_q, k_qq), 1e-9);
  expect_close(p.probabilities, binary.probabilities(K_q, k_qq), 1e-9);
  EXPECT_NEAR(fit.log_evidence, binary.log_evidence, 1e-9);
}

TEST(Finetune, WithoutTheMatrixIsTheSame) {
  const Little net;
  const Tensor y = normal({7, 3}, 5), labels = at::tensor({0, 2, 1, 1, 0, 2, 2}, at::kLong);
  for (const bool classes : {false, true})
    for (const int64_t rank : {0, 10}) {
      FinetuneOptions options{.prior = {0.7}, .noise = {0.05}};
      const Finetuned exact = finetune(*net.model, {net.x}, classes ? labels : y, options);
      options.matrix_free = true;
      options.rank = rank;
      options.cg.tolerance = 1e-10;
      const Finetuned free = finetune(*net.model, {net.x}, classes ? labels : y, options);
      EXPECT_TRUE(free.converged) << free.brief();
      EXPECT_LT(free.residual, classes ? 1e-9 : 1e-9) << free.brief();
      expect_close(free.change, exact.change, 1e-8);
      expect_close(free.alpha, exact.alpha, 1e-8);
      EXPECT_EQ(rank == 0, free.unexplained == 0);
      EXPECT_FALSE(free.exact());
      EXPECT_TRUE(std::isnan(free.log_evidence));
      expect_close(predict(*net.model, free, {}, {net.q}, false).outputs, predict(*net.model, exact, {net.x}, {net.q}).outputs, 1e-8);
      EXPECT_SAYS(predict(*net.model, free, {net.x}, {net.q}), "a matrix-free fit has no variance");
      options.cg.iterations = 2;
      options.laplace.iterations = 1;
      options.rank = 0;
      const Finetuned stopped = finetune(*net.model, {net.x}, classes ? labels : y, options);
      EXPECT_FALSE(stopped.converged);
      EXPECT_NE(stopped.brief().find("NOT converged"), std::string::npos);
    }
}

/// The preconditioner spares iterations where the kernel falls off quickly.
TEST(Finetune, ThePreconditionerHelps) {
  const Little net;
  FinetuneOptions options{.prior = {1}, .noise = {1e-3}, .matrix_free = true, .rank = 0};
  const Finetuned without = finetune(*net.model, {net.x}, normal({7, 3}, 5), options);
  options.rank = 15;
  const Finetuned with = finetune(*net.model, {net.x}, normal({7, 3}, 5), options);
  EXPECT_LT(with.iterations, without.iterations) << with.brief() << " " << without.brief();
}

TEST(Finetune, ChoosesTheLargestEvidence) {
  const Little net;
  const std::vector<double> priors = {1e-3, 0.1, 10}, noises = {0.01, 0.3};
  const Tensor y = normal({7, 3}, 5), labels = at::tensor({0, 2, 1, 1, 0, 2, 2}, at::kLong);
  const auto best = [&](const Tensor& targets, const std::vector<double>& with) {
    double most = -1e300;
    for (const double prior : priors)
      for (const double noise : with) most = std::max(most, finetune(*net.model, {net.x}, targets, {.prior = {prior}, .noise = {noise}}).log_evidence);
    return most;
  };
  EXPECT_NEAR(finetune(*net.model, {net.x}, y, {.prior = priors, .noise = noises}).log_evidence, best(y, noises), 1e-9);
  EXPECT_NEAR(finetune(*net.model, {net.x}, labels, {.prior = priors}).log_evidence, best(labels, {0}), 1e-9);
  const Finetuned usual = finetune(*net.model, {net.x}, y);
  EXPECT_GE(usual.log_evidence, finetune(*net.model, {net.x}, y, {.prior = {usual.prior * 10}, .noise = {usual.noise}}).log_evidence);
}

/// The machine keeps the network: a file answers by itself, in another dtype's network too.
TEST(Finetune, IsKeptWithItsNetwork) {
  for (const at::ScalarType dtype : {at::kDouble, at::kFloat}) {
    const auto model = make_model("mlp:5-6-3", "tanh", 3, dtype);
    const Tensor before = model->parameters()[0].tensor.detach().clone(), x = normal({7, 5}, 11), q = normal({4, 5}, 12);
    const Tensor labels = at::tensor({0, 2, 1, 1, 0, 2, 2}, at::kLong);
    TrainedMachine machine;
    machine.kind = "finetune";
    machine.classes = {"a", "b", "c"};
    machine.inputs = x;
    machine.network = KeptNetwork::of(*model);
    machine.fitted = finetune(*model, {x}, labels, {.prior = {2}});
    EXPECT_TRUE(model->parameters()[0].tensor.equal(before)) << "the model has its own weights again";
    const testing::Scratch folder;
    save_machine(folder.path() + "/machine", machine);
    const TrainedMachine loaded = load_machine(folder.path() + "/machine");
    const MachinePrediction a = predict_inputs(machine, q), b = predict_inputs(loaded, q);
    EXPECT_TRUE(a.outputs.equal(b.outputs) && a.classes.equal(b.classes));
    expect_close(b.variance, a.variance, 1e-12);  // the factor lies otherwise in memory, and is solved with in another order
    expect_close(b.probabilities, a.probabilities, 1e-12);
    EXPECT_SAYS(predict_inputs(loaded, normal({4, 6})), "the machine was fitted to float64 [7, 5]");
  }
}

/// Other machines on the trace of the same network's kernel.
TEST(Finetune, AnyMachineTakesTheNetworksKernel) {
  const Little net;
  TrainedMachine machine;
  machine.kind = "gp";
  machine.inputs = net.x;
  machine.network = KeptNetwork::of(*net.model);
  machine.offset = at::zeros({1}, at::kDouble);
  const Tensor y = normal({7}, 4), K = network_gram(*net.model, net.x, {}, int64_t{1} << 30);
  expect_close(K, at::einsum("iow,jow->ij", {net.J, net.J}), 1e-12);
  expect_close(network_diagonal(*net.model, net.q, int64_t{1} << 30), net.J_q.square().sum({1, 2}), 1e-12);
  const GaussianProcess gp = fit_gaussian_process(K, y, 0.1);
  machine.fitted = gp;
  const MachinePrediction p = predict_inputs(machine, net.q);
  const Tensor K_q = at::einsum("iow,jow->ij", {net.J_q, net.J});
  expect_close(p.outputs.squeeze(1), gp.mean(K_q).squeeze(1), 1e-10);
  expect_close(p.variance, gp.variance(K_q, net.J_q.square().sum({1, 2})), 1e-10);
}

TEST(Finetune, RefusesWhatItCannotDo) {
  const Little net;
  const Tensor y = normal({7, 3}, 5), labels = at::tensor({0, 2, 1, 1, 0, 2, 2}, at::kLong);
  const auto fit = [&](const Tensor& x, const Tensor& targets, FinetuneOptions options) { return finetune(*net.model, {x}, targets, options); };
  EXPECT_SAYS(fit(net.x, y, {.prior = {0}}), "the prior is 0, expected a variance above zero");
  EXPECT_SAYS(fit(net.x, y, {.prior = {-1}}), "the prior is -1");
  EXPECT_SAYS(fit(net.x, y, {.prior = {1}, .noise = {-1}}), "the noise is -1, expected a variance from zero up");
  EXPECT_SAYS(fit(net.x, y.narrow(1, 0, 2), {}), "targets are float64 [7, 2], but the network has 3 outputs");
  EXPECT_SAYS(fit(net.x, y.narrow(0, 0, 6), {}), "targets are float64 [6, 3], but [7] or [7, k] is expected");
  EXPECT_SAYS(fit(net.x, labels + 1, {}), "there are 4 classes, but the network's 3 outputs tell 3 apart");
  EXPECT_SAYS(fit(net.x, labels, {.classes = 2}), "but the network's 3 outputs tell 3 apart");
  Tensor broken = y.clone();
  broken[2][1] = NAN;
  EXPECT_SAYS(fit(net.x, broken, {}), "the target of example 2 is not finite");
  Tensor bad = net.x.clone();
  bad[3][0] = NAN;
  EXPECT_SAYS(fit(bad, y, {}), "outputs on the examples are not finite");
  const Tensor twice = at::cat({net.x, net.x});
  EXPECT_SAYS(fit(twice, at::cat({y, y}), {.prior = {1}, .noise = {0}}), "singular");
  EXPECT_SAYS(fit(net.x, y, {.machine = {.memory = 1000}}), "7 examples with 3 outputs take about 13.8 KiB");
  EXPECT_SAYS(fit(net.x, y, {.matrix_free = true}), "give one prior and one noise");
  EXPECT_SAYS(fit(net.x, y, {.prior = {1}, .noise = {0}, .matrix_free = true}), "the noise is 0, but conjugate gradients want one above zero");
  EXPECT_SAYS(fit(net.x, labels, {.prior = {1, 2}, .matrix_free = true}), "give one prior");
  EXPECT_SAYS(fit(net.x.narrow(0, 0, 0), y, {}), "no inputs");
  testing::FunctionModel coupled({{"w", normal({5, 3})}}, {}, [](const Tensors& w, const Tensors&, const Tensor& z, Mode) {
    const Tensor h = at::matmul(z, w[0]);
    return h - h.mean(0, true);
  });
  EXPECT_THROW(finetune(coupled, {net.x}, y), CoupledBatch);
}

/// Noise 0 where the Jacobian has full rank: the network then says what the targets are, and is sure of it.
TEST(Finetune, WithoutNoiseGoesThroughTheTargets) {
  const Little net;
  const Tensor y = normal({7, 3}, 5);
  const Finetuned fit = finetune(*net.model, {net.x}, y, {.prior = {1}, .noise = {0}});
  const FinetunedPrediction p = predict(*net.model, fit, {net.x}, {net.x});
  expect_close(p.outputs, y, 1e-8);
  EXPECT_LT(p.covariance.abs().max().item<double>(), 1e-8);
}

}  // namespace
}  // namespace pathkernel
