// Similarities of Gram matrices, and how a recorded network's tangent kernel changes, against explicit Jacobians.

#include <ATen/ops/cat.h>
#include <ATen/ops/diag_embed.h>
#include <ATen/ops/eye.h>
#include <ATen/ops/linalg_qr.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/outer.h>
#include <ATen/ops/zeros_like.h>
#include <gtest/gtest.h>
#include <pathkernel/data/batch_order.h>
#include <pathkernel/kernel/evolution.h>
#include <pathkernel/kernel/tangent_kernel.h>
#include <pathkernel/record/replay.h>
#include <sweep/small_runs.h>
#include <tangent/function_model.h>

#include <limits>

namespace pathkernel {
namespace {

Tensor draw(int64_t n, int64_t m) { return at::randn({n, m}, at::kDouble); }

TEST(Similarity, KnowsScaleRotationAndChance) {
  at::manual_seed(1);
  const Tensor A = draw(12, 7), K = at::matmul(A, A.t());
  EXPECT_NEAR(kernel_distance(K, 3 * K), 0, 1e-14);
  EXPECT_NEAR(centred_alignment(K, 0.5 * K), 1, 1e-14);
  EXPECT_NEAR(unbiased_centred_alignment(K, 2 * K), 1, 1e-14);
  const Tensor H = at::eye(12, at::kDouble) - 1.0 / 12, B = draw(12, 3), L = at::matmul(B, B.t());
  const Tensor KH = at::matmul(at::matmul(H, K), H), LH = at::matmul(at::matmul(H, L), H);
  EXPECT_NEAR(centred_alignment(K, L), ((KH * LH).sum() / (KH.norm() * LH.norm())).item<double>(), 1e-13);
  double biased = 0, unbiased = 0;  // theory 10: .56 and −.002 ± .004 of 200 independent pairs, n = 24, 30 features
  for (int k = 0; k < 200; ++k) {
    const Tensor P = draw(24, 30), Q = draw(24, 30);
    biased += centred_alignment(at::matmul(P, P.t()), at::matmul(Q, Q.t())) / 200;
    unbiased += unbiased_centred_alignment(at::matmul(P, P.t()), at::matmul(Q, Q.t())) / 200;
  }
  EXPECT_NEAR(biased, 0.56, 0.02);
  EXPECT_NEAR(unbiased, 0, 0.016);
  EXPECT_REFUSED(InvalidInput, "four or more", unbiased_centred_alignment(K.narrow(0, 0, 3).narrow(1, 0, 3), K.narrow(0, 0, 3).narrow(1, 0, 3)));
  EXPECT_REFUSED(InvalidInput, "square", kernel_distance(A, A));
}

/// Networks that have died: nothing is left beside the mean, or nothing at all.
TEST(Similarity, HasNoAlignmentWithWhatDoesNotVary) {
  at::manual_seed(3);
  const Tensor A = draw(12, 7), K = at::matmul(A, A.t()), u = draw(12, 1);
  for (const Tensor& L : {0 * K, 0 * K + 7.3, u + u.t(), 1e20 * (u + u.t()), at::diag_embed(u.squeeze(1))}) {
    EXPECT_TRUE(std::isnan(unbiased_centred_alignment(K, L)));
    EXPECT_TRUE(std::isnan(unbiased_centred_alignment(L, K)));
    EXPECT_TRUE(std::isnan(unbiased_centred_alignment(L, L)));
  }
  EXPECT_NEAR(unbiased_centred_alignment(1e-30 * K, 1e30 * K + 1e25 * (u + u.t())), 1, 1e-9);
}

TEST(Similarity, CountsDirections) {
  at::manual_seed(2);
  const Tensor Q = std::get<0>(at::linalg_qr(draw(6, 6))), u = Q.select(1, 0);
  const EffectiveRanks one = effective_ranks(at::outer(u, u)), all = effective_ranks(at::eye(6, at::kDouble) * 4);
  for (const double r : {one.entropy, one.participation, one.stable}) EXPECT_NEAR(r, 1, 1e-10);
  for (const double r : {all.entropy, all.participation, all.stable}) EXPECT_NEAR(r, 6, 1e-10);
  const Tensor two = at::matmul(Q * at::tensor(std::vector<double>{3, 1, 0, 0, 0, 0}, at::kDouble), Q.t());
  EXPECT_NEAR(effective_ranks(two).participation, 16.0 / 10, 1e-10);
  EXPECT_NEAR(effective_ranks(two).stable, 4.0 / 3, 1e-10);
  EXPECT_NEAR(label_alignment(two, u), 3 / std::sqrt(10), 1e-12);
  EXPECT_NEAR(leading_share(two, (u + Q.select(1, 1)).unsqueeze(1), 1), 0.5, 1e-12);
}

Tensor jacobian(Model& model, const Tensor& x) {
  Tensors rows;
  for (int64_t i = 0; i < x.size(0); ++i) {
    const at::AutoGradMode on(true);
    const Tensor z = model.forward({x.narrow(0, i, 1)}, Mode::eval)[0].reshape(-1);
    for (int64_t o = 0; o < z.size(0); ++o) {
      for (const auto& [name, p] : model.parameters()) p.mutable_grad() = Tensor();
      z[o].backward({}, true);
      Tensors parts;
      for (const auto& [name, p] : model.parameters()) parts.push_back(p.grad().reshape(-1).clone());
      rows.push_back(at::cat(parts).unsqueeze(0));
    }
  }
  for (const auto& [name, p] : model.parameters()) p.mutable_grad() = Tensor();
  return at::cat(rows).detach();  // [nO, P]
}

Tensor flat(const Model& model) {
  Tensors parts;
  for (const auto& [name, p] : model.parameters()) parts.push_back(p.detach().reshape(-1).clone());
  return at::cat(parts);
}

TEST(Evolution, IsWhatJacobiansSay) {
  const Dataset data = testing::random_classes(18, {5}, 3, 1);
  const testing::RecordedRun run(testing::network("mlp:5-8-3", "tanh"), data, testing::manifest({.lr = 0.4, .momentum = 0.5}, "cross-entropy", 6), shuffled_batches(18, 6, 4, 3));
  const Recording recording = run.open();
  const Tensor x = data.inputs.narrow(0, 0, 7), y = data.targets.narrow(0, 0, 7);
  const auto model = run.model();
  const Tensor before = flat(*model);
  const auto moments = kernel_evolution(recording, *model, data, {x}, y, {.steps = {0, 5, 12}});
  ASSERT_EQ(moments.size(), 3u);
  EXPECT_TRUE(flat(*model).equal(before)) << "the model has its own weights again";
  EXPECT_EQ(moments[0].change_of_kernel, 0);
  EXPECT_EQ(moments[0].distance, 0);

  const auto walker = run.model();
  Replay replay(recording, *walker, data);
  replay.restore(0);
  const Tensor J0 = jacobian(*walker, x), w0 = flat(*walker), f0 = walker->forward({x}, Mode::eval)[0].detach();
  const auto trace = [](const Tensor& J) { return at::matmul(J.view({7, -1}), J.view({7, -1}).t()); };
  double time = 0;
  for (int64_t s = 0; s < 12; ++s) {
    if (s == 5) {
      const Tensor J = jacobian(*walker, x), w = flat(*walker), f = walker->forward({x}, Mode::eval)[0].detach(), change = f - f0;
      EXPECT_NEAR(moments[1].change_of_kernel, ((J - J0).norm() / J0.norm()).item<double>(), 1e-12);
      EXPECT_NEAR(moments[1].distance, kernel_distance(trace(J), trace(J0)), 1e-12);
      EXPECT_NEAR(moments[1].alignment, unbiased_centred_alignment(trace(J), trace(J0)), 1e-12);
      EXPECT_NEAR(moments[1].linearisation_error, ((change.reshape(-1) - at::matmul(J0, w - w0)).norm() / change.norm()).item<double>(), 1e-12);
      EXPECT_NEAR(moments[1].time, time, 1e-14);
      const double loss = -(f.log_softmax(1).gather(1, y.unsqueeze(1))).mean().item<double>();
      EXPECT_NEAR(moments[1].loss, loss, 1e-12);
      EXPECT_NEAR(moments[1].change_of_loss, std::abs(loss - moments[0].loss) / moments[0].loss, 1e-12);
      EXPECT_NEAR(moments[1].lazy_ratio(), moments[1].change_of_kernel / moments[1].change_of_loss, 1e-12);
      const Tensor Y = at::eye(3, at::kDouble).index_select(0, y), centred = Y - Y.mean(0, true);
      EXPECT_NEAR(moments[1].label_alignment, label_alignment(trace(J), centred), 1e-12);
      time += replay.advance().record.lr;
      EXPECT_NEAR(moments[1].velocity, ((trace(jacobian(*walker, x)) - trace(J)).norm() / trace(J).norm()).item<double>() / 0.4, 1e-12);
    } else {
      time += replay.advance().record.lr;
    }
  }
  EXPECT_NEAR(moments[2].change_of_kernel, ((jacobian(*walker, x) - J0).norm() / J0.norm()).item<double>(), 1e-12);
  EXPECT_GT(moments[2].velocity, 0);
  const std::string csv = evolution_csv(moments);
  EXPECT_EQ(std::count(csv.begin(), csv.end(), '\n'), 4);
}

/// α·(f − f_0) with α large and steps η/α² is lazy (theory 10): the kernel stays, the loss goes as far.
TEST(Evolution, ScalingMakesTrainingLazy) {
  const auto change = [](double alpha) {
    const auto make = [=] {
      const auto inner = std::shared_ptr<Model>(make_model("mlp:5-64-64-1", "tanh", 1, at::kDouble)), start = std::shared_ptr<Model>(make_model("mlp:5-64-64-1", "tanh", 1, at::kDouble));
      return std::make_unique<testing::FunctionModel>(inner->parameters(), NamedTensors{}, [=](const Tensors& w, const Tensors&, const Tensor& x, Mode mode) {
        inner->bind_parameters(w);
        return alpha * (inner->forward({x}, mode)[0] - start->forward({x}, mode)[0].detach());
      });
    };
    at::manual_seed(4);
    Dataset data;
    data.inputs = at::randn({24, 5}, at::kDouble);
    data.targets = (data.inputs.select(1, 0) * data.inputs.select(1, 1)).sign().unsqueeze(1);
    const testing::RecordedRun run(make, data, testing::manifest({.lr = 0.2 / (alpha * alpha)}, "mse", 24), shuffled_batches(24, 24, 300, 1));
    const auto model = run.model();
    return kernel_evolution(run.open(), *model, data, {data.inputs}, data.targets, {.count = 2}).back();
  };
  const KernelMoment rich = change(1), lazy = change(30);
  EXPECT_LT(lazy.change_of_kernel, rich.change_of_kernel / 10);
  EXPECT_LT(lazy.linearisation_error, rich.linearisation_error / 5);
  EXPECT_GT(lazy.change_of_loss, 0.2);
  EXPECT_LT(lazy.lazy_ratio(), rich.lazy_ratio() / 5);
}

/// Targets that are numbers [n], a loss below zero, steps that do not move.
TEST(Evolution, OfNumbersAndOfNothing) {
  Dataset data = testing::random_classes(8, {5}, 3, 1);
  data.class_names.clear();
  data.targets = data.inputs.select(1, 0).clone();
  const auto make = [] {
    const auto net = std::shared_ptr<Model>(make_model("mlp:5-4-1", "tanh", 1, at::kDouble));
    return std::make_unique<testing::FunctionModel>(net->parameters(), NamedTensors{}, [=](const Tensors& w, const Tensors&, const Tensor& x, Mode mode) {
      net->bind_parameters(w);
      return net->forward({x}, mode)[0].squeeze(1);
    });
  };
  for (const double lr : {0.1, 0.0}) {
    const testing::RecordedRun run(make, data, testing::manifest({.lr = lr}, "mse", 4), shuffled_batches(8, 4, 2, 3));
    const auto model = run.model();
    const auto moments = kernel_evolution(run.open(), *model, data, {data.inputs}, data.targets, {.count = 2});
    EXPECT_EQ(moments.back().change_of_kernel > 0, lr > 0);
    EXPECT_EQ(moments.back().linearisation_error > 0, lr > 0);
    EXPECT_EQ(moments.front().velocity > 0, lr > 0);
    EXPECT_TRUE(std::isfinite(moments.back().label_alignment));
    EXPECT_EQ(tangent_kernel(*model, {data.inputs}).sizes(), (std::vector<int64_t>{8, 8, 1, 1}));
  }
}

TEST(Evolution, RefusesWhatIsNotThere) {
  const Dataset data = testing::random_classes(12, {5}, 3, 1);
  const testing::RecordedRun run(testing::network("mlp:5-8-3", "tanh"), data, testing::manifest({.lr = 0.4}, "cross-entropy", 6), shuffled_batches(12, 6, 1, 3));
  const auto model = run.model();
  const auto look = [&](const EvolutionOptions& options, int64_t n) { return kernel_evolution(run.open(), *model, data, {data.inputs.narrow(0, 0, n)}, data.targets.narrow(0, 0, n), options); };
  EXPECT_REFUSED(InvalidInput, "step 3 was asked for, but", look({.steps = {0, 3}}, 6));
  EXPECT_REFUSED(InvalidInput, "step 1 was asked for after step 2", look({.steps = {2, 1}}, 6));
  EXPECT_REFUSED(InvalidInput, "four inputs or more", look({}, 3));
  const auto look_at = [&](const Tensor& x, const Tensor& y) { return kernel_evolution(run.open(), *model, data, {x}, y); };
  const Tensor x = data.inputs.narrow(0, 0, 5).clone(), y = data.targets.narrow(0, 0, 5);
  x[3][1] = std::numeric_limits<double>::quiet_NaN();
  EXPECT_REFUSED(InvalidInput, "kernel_evolution: the inputs to look at hold NaN or an infinite number in row 3", look_at(x, y));
  EXPECT_REFUSED(InvalidInput, "kernel_evolution: their targets hold NaN or an infinite number in row 3", look_at(data.inputs.narrow(0, 0, 5), x));
  EXPECT_EQ(look({}, 4).size(), 3u) << "two steps have three moments";
}

}  // namespace
}  // namespace pathkernel
