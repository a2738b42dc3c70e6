// The empirical tangent kernel against Jacobians by autograd, one output of one input at a time, and the path kernel against its sum.

#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/einsum.h>
#include <ATen/ops/linalg_eigvalsh.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros_like.h>
#include <ATen/ops/tanh.h>
#include <ATen/ops/matmul.h>
#include <gtest/gtest.h>
#include <pathkernel/kernel/path_kernel.h>
#include <pathkernel/record/replay.h>
#include <pathkernel/data/batch_order.h>
#include <pathkernel/tangent/coupled_batch.h>
#include <sweep/small_runs.h>
#include <tangent/function_model.h>

#include "jacobians.h"

namespace pathkernel {
namespace {

using testing::jacobians;

void expect_close(const Tensor& found, const Tensor& expected) {
  ASSERT_EQ(found.sizes(), expected.sizes());
  EXPECT_LT((found - expected).abs().max().item<double>(), 1e-12 * expected.abs().max().item<double>());
}

void check(Model& model, const Tensor& x, const Tensor& y) {
  const Tensor J = jacobians(model, x), H = jacobians(model, y);
  for (const int64_t block : {0, 2}) {
    const auto kernel = [&](TangentForm form, const Tensors& others) { return tangent_kernel(model, {x}, others, {.form = form, .block = block}); };
    const Tensor full = at::einsum("iow,jpw->ijop", {J, H});
    expect_close(kernel(TangentForm::full, {y}), full);
    expect_close(kernel(TangentForm::trace, {y}), full.diagonal(0, 2, 3).sum(-1));
    expect_close(kernel(TangentForm::diagonal, {y}), full.diagonal(0, 2, 3));
    const Tensor own = at::einsum("iow,jpw->ijop", {J, J}), symmetric = kernel(TangentForm::full, {});
    expect_close(symmetric, own);
    EXPECT_TRUE(symmetric.equal(symmetric.permute({1, 0, 3, 2})));
    const Tensor trace = kernel(TangentForm::trace, {});
    expect_close(trace, own.diagonal(0, 2, 3).sum(-1));
    EXPECT_TRUE(trace.equal(trace.t()));
    EXPECT_GT(at::linalg_eigvalsh(trace).min().item<double>(), -1e-12 * trace.abs().max().item<double>());
    expect_close(kernel(TangentForm::diagonal, {}), own.diagonal(0, 2, 3));
  }
}

struct Case {
  std::string name, model;
  std::vector<int64_t> shape;
};

class TangentKernels : public ::testing::TestWithParam<Case> {};

TEST_P(TangentKernels, AreJacobiansProducts) {
  const auto model = testing::network(GetParam().model, "tanh")();
  const Tensor all = testing::random_classes(9, GetParam().shape, 3, 5).inputs;
  check(*model, all.narrow(0, 0, 5), all.narrow(0, 5, 4));
}

INSTANTIATE_TEST_SUITE_P(Models, TangentKernels,
                         ::testing::Values(Case{"mlp", "mlp:6-8-8-3", {6}}, Case{"one_output", "mlp:6-4-1", {6}}, Case{"lenet", "lenet", {1, 28, 28}},
                                           Case{"resnet", "resnet:2-4-6-3", {2, 8, 8}}),
                         [](const auto& param) { return param.param.name; });

/// One matrix used three times: forwards, backwards, and as a scale.
TEST(TangentKernel, AddsUsesOfOneParameter) {
  at::manual_seed(3);
  testing::FunctionModel model({{"w", at::randn({5, 5}, at::kDouble)}, {"b", at::randn({5}, at::kDouble)}, {"unused", at::randn({2}, at::kDouble)}}, {},
                               [](const Tensors& w, const Tensors&, const Tensor& x, Mode) { return at::matmul(at::tanh(at::matmul(x, w[0].t()) + w[1]), w[0]) * w[1]; });
  const Tensor x = at::randn({6, 5}, at::kDouble);
  check(model, x.narrow(0, 0, 4), x.narrow(0, 4, 2));
}

/// Rows of a sequence: several terms to each example.
TEST(TangentKernel, SumsPositions) {
  at::manual_seed(4);
  for (const int64_t width : {3, 40}) {
    testing::FunctionModel model({{"w", at::randn({width, 4}, at::kDouble)}, {"v", at::randn({2, width}, at::kDouble)}}, {}, [](const Tensors& w, const Tensors&, const Tensor& x, Mode) {
      return at::matmul(at::tanh(at::matmul(x, w[0].t())), w[1].t()).mean(1);
    });
    const Tensor x = at::randn({7, 6, 4}, at::kDouble);
    check(model, x.narrow(0, 0, 4), x.narrow(0, 4, 3));
  }
}

/// Rows of products are many where inputs have positions and outputs: blocks are cut so that they fit the memory.
TEST(TangentKernel, KeepsToItsMemory) {
  at::manual_seed(4);
  testing::FunctionModel model({{"w", at::randn({64, 64}, at::kDouble)}, {"v", at::randn({30, 64}, at::kDouble)}}, {},
                               [](const Tensors& w, const Tensors&, const Tensor& x, Mode) { return at::matmul(at::tanh(at::matmul(x, w[0].t())).mean(1), w[1].t()); });
  const Tensor x = at::randn({32, 6, 64}, at::kDouble);
  const auto blocks = [&](int64_t memory, Tensor* kernel) {
    int64_t pairs = 0;
    *kernel = tangent_kernel(model, {x}, {x}, {.memory = memory, .progress = [&](const std::string&, int64_t, int64_t total) { pairs = total; }});
    return pairs;
  };
  Tensor whole, cut;
  EXPECT_EQ(blocks(int64_t{4} << 30, &whole), 1);
  EXPECT_GT(blocks(int64_t{64} << 20, &cut), 4) << "whole: (32 inputs × 6 positions × 30 outputs)² numbers are 253 MiB, twice";
  expect_close(cut, whole);
}

TEST(TangentKernel, RefusesWhatItCannotDo) {
  const auto model = testing::network("mlp:6-8-3", "tanh")();
  const Tensor x = testing::random_classes(4, {6}, 3, 5).inputs;
  EXPECT_REFUSED(InvalidInput, "no inputs", tangent_kernel(*model, {}));
  EXPECT_REFUSED(InvalidInput, "no inputs", tangent_kernel(*model, {x.narrow(0, 0, 0)}));
  EXPECT_REFUSED(InvalidInput, "4 inputs and 4, with 3 outputs, take 1.1 KiB for the result", tangent_kernel(*model, {x}, {}, {.memory = 2000}));
  EXPECT_REFUSED(InvalidInput, "blocks of 4 inputs take", tangent_kernel(*model, {x}, {}, {.memory = 6000, .block = 4}));
  testing::FunctionModel coupled({{"w", at::randn({6, 2}, at::kDouble)}}, {}, [](const Tensors& w, const Tensors&, const Tensor& z, Mode) {
    const Tensor h = at::matmul(z, w[0]);
    return h - h.mean(0, true);
  });
  EXPECT_THROW(tangent_kernel(coupled, {x}), CoupledBatch);
}

TEST(PathKernel, IsTheSumOverTheSteps) {
  const testing::RecordedRun run(testing::network("mlp:5-6-3", "tanh"), testing::random_classes(12, {5}, 3, 1),
                                 testing::manifest({.lr = 0.3, .momentum = 0.5, .schedule = "cosine"}, "cross-entropy", 4), shuffled_batches(12, 4, 3, 3));
  const Recording recording = run.open();
  const Tensor x = run.data().inputs.narrow(0, 0, 4), y = run.data().inputs.narrow(0, 6, 3);
  const auto model = run.model();
  const Tensor own = model->parameters()[0].tensor.detach().clone();
  Tensor every = at::zeros({4, 3}, at::kDouble), second = at::zeros({4, 3}, at::kDouble), kept;
  double time = 0;
  for (int64_t s = 0; s < recording.steps(); ++s) {
    const Tensor J = tangent_kernel_at(recording, *model, run.data(), s, {x}, {y}, {.form = TangentForm::trace});
    const double lr = recording.step(s).lr;
    every += lr * J;
    if (s % 2 == 0) kept = J;
    second += lr * kept;
    time += lr;
  }
  expect_close(path_kernel(recording, *model, run.data(), {x}, {y}), every);
  expect_close(path_kernel(recording, *model, run.data(), {x}, {y}, {.every = 2}), second);
  EXPECT_TRUE(model->parameters()[0].tensor.equal(own)) << "the model has its own weights again";
  const auto trained = run.model();
  Replay replay(recording, *trained, run.data());
  replay.restore(recording.steps());
  expect_close(tangent_kernel_at(recording, *model, run.data(), recording.steps(), {x}), tangent_kernel(*trained, {x}));
  const Tensor symmetric = path_kernel(recording, *model, run.data(), {x}, {}, {.tangent = {.form = TangentForm::full}});
  EXPECT_TRUE(symmetric.equal(symmetric.permute({1, 0, 3, 2})));
  EXPECT_REFUSED(InvalidInput, "has 9 (0: the untrained", tangent_kernel_at(recording, *model, run.data(), 10, {x}));
  EXPECT_REFUSED(InvalidInput, "every is 0", path_kernel(recording, *model, run.data(), {x}, {}, {.every = 0}));
}

}  // namespace
}  // namespace pathkernel
