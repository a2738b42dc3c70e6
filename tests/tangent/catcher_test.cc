// Watched or not, a training step gives the same bits; and what is caught does not depend on which backward pass brought it.

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <pathkernel/tangent/catcher.h>
#include <pathkernel/tangent/contraction.h>

#include "tangent/function_model.h"

namespace pathkernel {
namespace {

constexpr int64_t n = 6;

/// Max pooling with overlaps and ties, something in place behind a layer, a layer that is used twice.
testing::FunctionModel network(at::ScalarType dtype) {
  at::manual_seed(2);
  const auto numbers = [dtype](std::vector<int64_t> shape) { return (at::randn(shape, at::kDouble) * 0.5).to(dtype); };
  return {{{"c.weight", numbers({3, 2, 3, 3})}, {"c.bias", numbers({3})}, {"h.weight", numbers({12, 12})}, {"h.bias", numbers({12})}, {"f.weight", numbers({4, 12})}},
          {},
          [](const Tensors& w, const Tensors&, const Tensor& x, Mode) {
            const Tensor h = at::max_pool2d(at::conv2d(at::max_pool2d(x, 3, 1), w[0], w[1], 1, 1).relu_(), {2, 3}, {2, 2}).flatten(1);
            return at::linear(at::linear(at::linear(h, w[2], w[3]).tanh_(), w[2]), w[4]);
          }};
}

Tensor loss(Model& model, const Tensor& x) { return model.forward({x}, Mode::train)[0].logsumexp(1).sum(); }

class Watched : public ::testing::TestWithParam<at::ScalarType> {};

TEST_P(Watched, AStepGivesTheSameBits) {
  const Tensor x = at::randn({n, 2, 7, 8}, GetParam());
  auto plain = network(GetParam()), watched = network(GetParam());
  const Tensor expected = loss(plain, x);
  expected.backward();
  Catcher catcher(watched.parameters(), {}, {x});
  const Tensor found = loss(watched, x);
  catcher.forward_done();
  found.backward();
  EXPECT_TRUE(found.equal(expected));
  for (size_t p = 0; p < plain.parameters().size(); ++p) EXPECT_TRUE(watched.parameters()[p].tensor.grad().equal(plain.parameters()[p].tensor.grad())) << p;
}

TEST_P(Watched, ABackwardPassForThemAloneCatchesTheSame) {
  auto model = network(GetParam());
  const NamedTensors parameters = model.parameters();
  const Tensor x = at::randn({n, 2, 7, 8}, GetParam());
  Catcher catcher(parameters, {}, {x});
  const Tensor found = loss(model, x);
  catcher.forward_done();
  catcher.backward(found, /*retain_graph=*/true);
  const FactorSet alone = catcher.take();
  for (const NamedTensor& p : parameters) EXPECT_FALSE(p.tensor.grad().defined()) << p.name;
  found.backward();
  const FactorSet beside = catcher.take();
  for (size_t p = 0; p < parameters.size(); ++p) {
    const Tensor& w = parameters[p].tensor;
    ASSERT_FALSE(alone.parameters[p].empty());
    EXPECT_TRUE(materialise(alone.parameters[p], n, w.numel(), w.options()).equal(materialise(beside.parameters[p], n, w.numel(), w.options()))) << parameters[p].name;
    const Tensor sum = sum_over_examples(alone.parameters[p], w.numel(), w.options()).view_as(w);
    EXPECT_LE((sum - w.grad()).abs().max().item<double>(), (GetParam() == at::kDouble ? 1e-13 : 1e-5) * w.grad().abs().max().item<double>()) << parameters[p].name;
  }
}

/// @param passes  counts walks through the graph   @param batches  whether an operation's backward pass takes several cotangents at a time
Tensor many_numbers(Model& model, const Tensor& x, int64_t& passes, bool batches) {
  const Tensor z = model.forward({x}, Mode::eval)[0];
  z.register_hook([&passes, batches](const Tensor& cotangent) {
    ++passes;
    if (!batches) cotangent.sum().item<double>();
  });
  const Tensor tenfold = z.repeat({1, 5}).narrow(1, 0, 19);
  return tenfold * at::arange(1, 20, z.options()) + tenfold.square();
}

TEST_P(Watched, NumbersSideBySideAreThoseOneAfterTheOther) {
  auto model = network(GetParam());
  const NamedTensors parameters = model.parameters();
  const Tensor x = at::randn({n, 2, 7, 8}, GetParam());
  for (const bool batches : {true, false}) {
    Catcher catcher(parameters, {}, {x});
    int64_t passes = 0;
    const Tensor numbers = many_numbers(model, x, passes, batches);
    catcher.forward_done();
    const std::vector<FactorSet> all = catcher.backward_each(numbers);
    EXPECT_EQ(passes, batches ? 2 : 1 + 19) << "sixteen at a time; or an attempt, and one for each";
    ASSERT_EQ(all.size(), 19u);
    for (int64_t k = 0; k < 19; ++k) {
      catcher.backward(numbers.select(1, k).sum(), /*retain_graph=*/true);
      const FactorSet one = catcher.take();
      for (size_t p = 0; p < parameters.size(); ++p) {
        const Tensor& w = parameters[p].tensor;
        const Tensor expected = materialise(one.parameters[p], n, w.numel(), w.options()), found = materialise(all[size_t(k)].parameters[p], n, w.numel(), w.options());
        EXPECT_LE((found - expected).abs().max().item<double>(), (GetParam() == at::kDouble ? 1e-14 : 1e-5) * expected.abs().max().item<double>()) << parameters[p].name << k;
      }
    }
  }
}

/// In the tangent kernel's parametrisation every weight is scaled: written out, n gradients of a wide layer would not fit, and would take a hundred times as long.
TEST_P(Watched, AWeightThatIsTurnedOrScaledKeepsItsFactors) {
  at::manual_seed(3);
  const std::vector<std::pair<std::string, std::function<Tensor(const Tensor&)>>> ways = {
      {"t", [](const Tensor& w) { return w.t(); }},
      {"transpose", [](const Tensor& w) { return w.transpose(-1, 0); }},
      {"permute", [](const Tensor& w) { return w.permute({1, 0}); }},
      {"numpy_T", [](const Tensor& w) { return w.numpy_T(); }},
      {"times a number", [](const Tensor& w) { return w * 0.3; }},
      {"a tensor times it", [](const Tensor& w) { return at::scalar_tensor(0.3) * w; }},
      {"by a number, turned, negative", [](const Tensor& w) { return -(w / 7).t(); }},
  };
  for (const auto& [name, made] : ways) {
    const Tensor w = at::randn({5, 5}, GetParam()), x = at::randn({n, 5}, GetParam());
    testing::FunctionModel model({{"w", w}}, {}, [&made = made](const Tensors& w, const Tensors&, const Tensor& x, Mode) { return at::matmul(x, made(w[0])); });
    Catcher catcher(model.parameters(), {}, {x});
    const Tensor found = loss(model, x);
    catcher.forward_done();
    catcher.backward(found);
    const FactorSet g = catcher.take();
    ASSERT_EQ(g.parameters[0].size(), 1u) << name;
    EXPECT_EQ(g.parameters[0][0].kind, Factor::Kind::outer) << name;
    const Tensor all = materialise(g.parameters[0], n, w.numel(), w.options()).detach();
    for (int64_t i = 0; i < n; ++i) {
      w.mutable_grad() = Tensor();
      loss(model, x.narrow(0, i, 1)).backward();
      EXPECT_LE((all[i].view_as(w) - w.grad()).abs().max().item<double>(), GetParam() == at::kDouble ? 1e-14 : 1e-6) << name << ", example " << i;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(In, Watched, ::testing::Values(at::kFloat, at::kDouble), [](const auto& info) { return info.param == at::kFloat ? "float" : "double"; });

}  // namespace
}  // namespace pathkernel
