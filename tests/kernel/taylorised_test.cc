// Taylor polynomials of networks in their weights, and their training beside the network.

#include <ATen/ops/batch_norm.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/eye.h>
#include <ATen/ops/layer_norm.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/stack.h>
#include <gtest/gtest.h>
#include <pathkernel/data/batch_order.h>
#include <pathkernel/kernel/taylor_model.h>
#include <pathkernel/kernel/taylorised.h>
#include <pathkernel/model/architectures.h>
#include <sweep/small_runs.h>
#include <tangent/function_model.h>

#include <algorithm>

namespace pathkernel {
namespace {

Tensors weights_of(const Model& model) { return copies(values(model.parameters())); }

/// All numbers of the outputs at these weights.
Tensor outputs_at(Model& model, const Tensors& weights, const Tensor& x) {
  const at::NoGradGuard off;
  model.bind_parameters(copies(weights));
  return model.forward({x}, Mode::eval)[0].clone();
}

Tensors moved(const Tensors& w, const Tensors& direction, double by) {
  Tensors all;
  for (size_t l = 0; l < w.size(); ++l) all.push_back(w[l] + by * direction[l]);
  return all;
}

Tensors like(const Tensors& w) {
  Tensors all;
  for (const Tensor& t : w) all.push_back(at::randn(t.sizes(), at::kDouble));
  return all;
}

/// Two normalisations whose statistics come from the batch or the example: their third derivatives are not to be had from autograd.
std::unique_ptr<Model> normalised() {
  at::manual_seed(8);
  return std::make_unique<testing::FunctionModel>(
      NamedTensors{{"a", at::randn({6, 5}, at::kDouble)}, {"scale", at::rand({6}, at::kDouble) + 0.5}, {"b", at::randn({6, 6}, at::kDouble)}, {"c", at::randn({3, 6}, at::kDouble)}}, NamedTensors{},
      [](const Tensors& w, const Tensors&, const Tensor& x, Mode) {
        const Tensor h = at::layer_norm(at::matmul(x, w[0].t()), {6}, w[1]);
        return at::matmul(at::tanh(at::batch_norm(at::matmul(h, w[2].t()), {}, {}, {}, {}, /*training=*/true, 0.1, 1e-5, false)), w[3].t());
      });
}

/// The error falls by 2^(order + 1) when the distance is halved.
TEST(TaylorModel, MissesTheNextOrderOnly) {
  for (const bool norms : {false, true}) {
    at::manual_seed(2);
    const auto network = norms ? normalised() : make_model("mlp:5-7-6-3", "tanh", 1, at::kDouble);
    const Tensors w0 = weights_of(*network), direction = like(w0);
    const Tensor x = at::randn({4, 5}, at::kDouble);
    for (const int64_t order : {1, 2}) {
      const auto error = [&](double by) {
        const Tensors w = moved(w0, direction, by);
        TaylorModel polynomial(*network, w0, order);
        return (outputs_at(polynomial, w, x) - outputs_at(*network, w, x)).norm().item<double>();
      };
      EXPECT_NEAR(error(0.0004) / error(0.0002), order == 1 ? 4 : 8, 0.2) << "order " << order << (norms ? ", normalised" : "");
      EXPECT_EQ(error(0), 0);
    }
  }
}

TEST(TaylorModel, GradientsAreThoseOfItsValues) {
  for (const auto& [name, shape] : std::vector<std::pair<std::string, std::vector<int64_t>>>{{"mlp:5-7-3", {4, 5}}, {"lenet", {2, 1, 28, 28}}, {"normalised", {4, 5}}}) {
    at::manual_seed(3);
    const auto network = name == "normalised" ? normalised() : make_model(name, name == "lenet" ? "relu" : "tanh", 1, at::kDouble);
    const Tensors w0 = weights_of(*network), w = moved(w0, like(w0), 0.01), direction = like(w0);
    const Tensor x = at::randn(shape, at::kDouble);
    for (const int64_t order : {1, 2}) {
      TaylorModel polynomial(*network, w0, order);
      network->bind_parameters(copies(w));
      const Tensor z = polynomial.forward({x}, Mode::train)[0], delta = at::randn(z.sizes(), at::kDouble);
      EXPECT_TRUE(network->parameters()[0].tensor.equal(w[0])) << "the parameters are themselves again";
      (z * delta).sum().backward();
      double slope = 0;
      for (size_t l = 0; l < w.size(); ++l) slope += (network->parameters()[l].tensor.grad() * direction[l]).sum().item<double>();
      const double h = order == 1 ? 1 : 1e-3;  // of a polynomial the central difference is exact
      const Tensor difference = (outputs_at(polynomial, moved(w, direction, h), x) - outputs_at(polynomial, moved(w, direction, -h), x)) / (2 * h);
      EXPECT_NEAR(slope, (difference * delta).sum().item<double>(), 1e-9 * std::abs(slope) + 1e-10) << name << ", order " << order;
    }
  }
}

/// Two layers without a nonlinearity are quadratic in their weights, and a network of one is linear.
TEST(Taylorised, OfAPolynomialIsItself) {
  const Dataset data = testing::random_classes(18, {5}, 3, 1);
  const auto make = [] {
    at::manual_seed(5);
    return std::make_unique<testing::FunctionModel>(NamedTensors{{"U", at::randn({5, 4}, at::kDouble)}, {"V", at::randn({4, 3}, at::kDouble)}}, NamedTensors{},
                                                    [](const Tensors& w, const Tensors&, const Tensor& x, Mode) { return at::matmul(at::matmul(x, w[0]), w[1]); });
  };
  const testing::RecordedRun run(make, data, testing::manifest({.lr = 0.1, .momentum = 0.9, .weight_decay = 0.01}, "cross-entropy", 6), shuffled_batches(18, 6, 6, 3));
  const auto model = run.model();
  const Taylorised second = taylorised(run.open(), *model, data, {data.inputs}, data.targets, {.order = 2, .count = 3});
  ASSERT_EQ(second.moments.size(), 3u);
  EXPECT_LT(second.moments.back().distance, 1e-12);
  EXPECT_LT(second.moments.back().weight_distance, 1e-12);
  EXPECT_EQ(second.moments.back().agreement, 1);
  EXPECT_NEAR(second.moments.back().loss, second.moments.back().taylor_loss, 1e-12);
  EXPECT_GT(taylorised(run.open(), *model, data, {data.inputs}, data.targets, {.order = 1, .count = 2}).moments.back().distance, 1e-2);
}

/// Order 1 against a linear model whose Jacobian is written out, trained by hand.
TEST(Taylorised, OfOrderOneIsTheLinearModel) {
  const Dataset data = testing::random_classes(12, {5}, 3, 1);
  const std::vector<Tensor> batches = shuffled_batches(12, 4, 5, 3);
  for (const int64_t accumulate : {1, 2}) {  // gradients of several passes add up
    Manifest manifest = testing::manifest({.lr = 0.3, .momentum = 0.7}, "cross-entropy", 4);
    manifest.accumulate = accumulate;
    const testing::RecordedRun run(testing::network("mlp:5-8-3", "tanh"), data, manifest, batches);
    const auto model = run.model();
    const Tensors own = weights_of(*model);
    const Taylorised found = taylorised(run.open(), *model, data, {data.inputs}, data.targets, {.steps = {0, 7, 15}});
    EXPECT_TRUE(model->parameters()[1].tensor.equal(own[1])) << "the model has its own weights again";

    const auto first = run.model();
    const Tensor f0 = first->forward({data.inputs}, Mode::eval)[0];
    Tensors rows;
    for (int64_t k = 0; k < f0.numel(); ++k) {
      for (const auto& [name, p] : first->parameters()) p.mutable_grad() = Tensor();
      f0.reshape(-1)[k].backward({}, /*retain_graph=*/true);
      Tensors parts;
      for (const auto& [name, p] : first->parameters()) parts.push_back(p.grad().reshape(-1));
      rows.push_back(at::cat(parts));
    }
    const Tensor J = at::stack(rows).view({12, 3, -1});
    Tensor w = at::zeros({J.size(2)}, at::kDouble), m = at::zeros_like(w);
    const Tensor Y = at::eye(3, at::kDouble).index_select(0, data.targets), start = f0.detach();
    for (size_t s = 0; s < batches.size(); ++s) {
      const Tensor rows_of = batches[s], f = start.index_select(0, rows_of) + at::matmul(J.index_select(0, rows_of), w);
      const Tensor r = (f.softmax(1) - Y.index_select(0, rows_of)) / 4;
      m = 0.7 * m + at::matmul(r.reshape(-1), J.index_select(0, rows_of).reshape({12, -1}));
      w = w - 0.3 * m;
      if (s == 6) {
        EXPECT_LT((found.taylor_outputs[1] - start - at::matmul(J, w)).abs().max().item<double>(), 1e-10);
      }
    }
    const Tensor end = start + at::matmul(J, w);
    EXPECT_LT((found.taylor_outputs[2] - end).abs().max().item<double>(), 1e-10);
    const double loss = -(end.log_softmax(1).gather(1, data.targets.unsqueeze(1))).mean().item<double>();
    EXPECT_NEAR(found.moments[2].taylor_loss, loss, 1e-10);
    EXPECT_NEAR(found.moments[2].taylor_accuracy, end.argmax(1).eq(data.targets).to(at::kDouble).mean().item<double>(), 1e-15);
    EXPECT_NEAR(found.moments[2].distance, ((end - found.outputs[2]).norm() / (found.outputs[2] - start).norm()).item<double>(), 1e-10);
    EXPECT_EQ(found.moments[0].distance, 0);
    EXPECT_EQ(found.diverged, -1);
    const std::string csv = taylorised_csv(found);
    EXPECT_EQ(std::count(csv.begin(), csv.end(), '\n'), 4);
  }
}

/// α(f − f_0) with steps η/α² (theory 10): the larger α, the nearer the linearised network; order 2 is nearer than order 1.
TEST(Taylorised, AgreesWhereTrainingIsLazy) {
  const auto distance = [](double alpha, int64_t order) {
    const auto make = [=] {
      const auto inner = std::shared_ptr<Model>(make_model("mlp:5-24-1", "tanh", 1, at::kDouble)), start = std::shared_ptr<Model>(make_model("mlp:5-24-1", "tanh", 1, at::kDouble));
      return std::make_unique<testing::FunctionModel>(inner->parameters(), NamedTensors{}, [=](const Tensors&, const Tensors&, const Tensor& x, Mode mode) {
        return alpha * (inner->forward({x}, mode)[0] - start->forward({x}, mode)[0].detach());
      });
    };
    at::manual_seed(4);
    Dataset data;
    data.inputs = at::randn({24, 5}, at::kDouble);
    data.targets = (data.inputs.select(1, 0) * data.inputs.select(1, 1)).sign().unsqueeze(1);
    const testing::RecordedRun run(make, data, testing::manifest({.lr = 0.2 / (alpha * alpha)}, "mse", 24), shuffled_batches(24, 24, 100, 1));
    const auto model = run.model();
    return taylorised(run.open(), *model, data, {data.inputs}, data.targets, {.order = order, .count = 2}).moments.back().distance;
  };
  const double rich = distance(1, 1), lazy = distance(100, 1), lazier = distance(1000, 1);
  EXPECT_GT(rich, 10 * lazy);
  EXPECT_NEAR(lazy / lazier, 10, 0.5) << "in proportion to 1/α";
  EXPECT_LT(distance(100, 2), lazy / 10);
}

TEST(Taylorised, RefusesWhatItCannotDo) {
  const Dataset data = testing::random_classes(12, {5}, 3, 1);
  const testing::RecordedRun run(testing::network("mlp:5-8-3", "tanh"), data, testing::manifest({.lr = 0.4}, "cross-entropy", 6), shuffled_batches(12, 6, 1, 3));
  const auto model = run.model();
  const auto look = [&](const TaylorisedOptions& options, const Tensor& targets) { return taylorised(run.open(), *model, data, {data.inputs}, targets, options); };
  EXPECT_REFUSED(InvalidInput, "order is 3; 1 or 2", look({.order = 3}, data.targets));
  EXPECT_REFUSED(InvalidInput, "step 9 was asked for, but", look({.steps = {0, 9}}, data.targets));
  EXPECT_REFUSED(InvalidInput, "labels from 5 to 7 do not fit a network with 3 outputs", look({}, data.targets + 5));
  EXPECT_REFUSED(InvalidInput, "with their targets", look({}, {}));
  const Tensor x = data.inputs.clone();
  x[7][0] = std::numeric_limits<double>::infinity();
  EXPECT_REFUSED(InvalidInput, "taylorised: the inputs to compare on hold NaN or an infinite number in row 7", taylorised(run.open(), *model, data, {x}, data.targets));
  EXPECT_REFUSED(InvalidInput, "taylorised: their targets hold NaN or an infinite number in row 7", look({}, x));
}

/// A step that is too large for the parabola, and not for the network.
TEST(Taylorised, SaysWherePolynomialsDiverge) {
  Dataset data = testing::random_classes(8, {3}, 3, 1);
  data.class_names.clear();
  data.targets = data.inputs.narrow(1, 0, 1).clone();
  const auto bounded = [] {
    return std::make_unique<testing::FunctionModel>(NamedTensors{{"w", at::ones({3, 1}, at::kDouble)}}, NamedTensors{},
                                                    [](const Tensors& w, const Tensors&, const Tensor& x, Mode) { return at::tanh(at::matmul(x, w[0])); });
  };
  const testing::RecordedRun run(bounded, data, testing::manifest({.lr = 20}, "mse", 8), shuffled_batches(8, 8, 60, 3));
  const auto model = run.model();
  const Taylorised found = taylorised(run.open(), *model, data, {data.inputs}, data.targets, {.order = 2, .count = 3});
  EXPECT_GE(found.diverged, 0);
  EXPECT_TRUE(std::isnan(found.moments.back().taylor_loss));
  EXPECT_TRUE(std::isfinite(found.moments.back().loss));
  EXPECT_EQ(found.moments.size(), 3u);
}

}  // namespace
}  // namespace pathkernel
