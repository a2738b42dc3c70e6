// Random networks of finite width against their limit: the average tangent kernel and covariance of many, within their standard errors.

#include "comparisons.h"

#include <pathkernel/core/error.h>
#include <pathkernel/kernel/network.h>

#include <ATen/Parallel.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros.h>
#include <scratch.h>

#include <cmath>

namespace pathkernel {
namespace {

struct Estimate { Tensor mean, error; };

/// Mean over the rows of samples [R, ...], and its standard error.
Estimate estimate(const Tensors& samples) {
  const Tensor all = at::stack(samples);
  return {all.mean(0), all.std(0) / std::sqrt(static_cast<double>(samples.size()))};
}

/// ∂f/∂w of every input, [n, P], for a network of one output.
Tensor jacobian(Model& model, const Tensor& x) {
  Tensors rows;
  for (int64_t i = 0; i < x.size(0); ++i) {
    for (const NamedTensor& p : model.parameters()) p.tensor.mutable_grad() = Tensor();
    model.forward({x.narrow(0, i, 1)}, Mode::eval)[0].sum().backward();
    Tensors parts;
    for (const NamedTensor& p : model.parameters()) parts.push_back(p.tensor.grad().reshape(-1));
    rows.push_back(at::cat(parts));
  }
  return at::stack(rows);
}

struct Case {
  const char* net;
  std::vector<int64_t> example;
  int64_t width, networks;
};

// The widths make what the finite width itself changes (of order 1/width) small beside the standard errors.
const std::vector<Case> cases = {
    {"dense:w=1.3,b=0.4 relu dense:w=1.3,b=0.4 relu dense:w=1.3,b=0.4", {4}, 400, 60},
    {"dense:w=1.3 erf dense:w=1.1,b=0.2 gelu dense", {4}, 400, 60},
    {"dense tanh dense leaky:0.2 dense", {4}, 400, 60},
    {"dense:128,w=1.3,b=0.4,standard relu dense:256,w=1.3,standard relu dense:1,w=1.3,b=0.3,standard", {4}, 0, 80},
    {"conv:3,w=1.3,standard,width=96,same relu conv:3,w=1.3,b=0.2,standard,width=96 relu flatten dense:1,standard", {3, 5}, 0, 60},
    {"dense:w=1.3 residual:0.7(relu dense:w=1.3,b=0.4) residual:0.7(relu dense:w=1.3,b=0.4) dense", {4}, 400, 60},
    {"dense:w=1.3 layernorm gelu dense:w=1.3 layernorm gelu dense", {4}, 400, 60},
    {"conv:3,same,w=1.3,b=0.4 relu conv:3,same,w=1.3,b=0.4 relu flatten dense:w=1.3,b=0.4", {3, 5}, 150, 60},
    {"conv:3,same,w=1.3,b=0.4 relu conv:3,circular,w=1.3,b=0.4 relu gap dense:w=1.3,b=0.4", {3, 5}, 150, 60},
    {"conv:3x2,same,w=1.3,b=0.4 relu avgpool:2x2,stride=2 conv:2x2,stride=2,circular,w=1.3 gelu gap dense", {2, 4, 5}, 150, 60},
    {"dense attention:w_query=0.9,w_out=1.1,b=0.3,heads=4,key=1024 flatten dense", {4, 3}, 200, 40},
    {"dense attention:scale=sqrt,w_query=0.9,w_out=1.1,heads=64,key=32,value=32,samples=20000 gap dense", {4, 3}, 128, 60},
    {"dense attention:identity,scale=sqrt,w_query=0.7,heads=96,key=48,value=32 gap dense", {4, 3}, 128, 80},
};

TEST(FiniteNetworks, ConvergeToTheirLimit) {
  at::manual_seed(3);
  Tensors deviations;  // in standard errors
  for (const Case& c : cases) {
    std::vector<int64_t> sizes = {2};
    sizes.insert(sizes.end(), c.example.begin(), c.example.end());
    const Tensor x = at::randn(sizes, at::kDouble);
    const Network network = parse_network(c.net);
    const KernelState limit = network.propagate(x, x, Pairing::symmetric, true);
    Tensors tangents, products;
    for (int64_t r = 0; r < c.networks; ++r) {
      const auto model = finite_network(network, c.example, {.width = c.width, .outputs = 1, .seed = static_cast<uint64_t>(r)});
      const Tensor J = jacobian(*model, x), f = model->forward({x}, Mode::eval)[0].detach();
      tangents.push_back(at::matmul(J, J.t()));
      products.push_back(at::matmul(f, f.t()));
    }
    for (const auto& [name, samples, expected] : {std::tuple{"tangent kernel", tangents, limit.Theta}, {"covariance", products, limit.K}}) {
      const auto [mean, error] = estimate(samples);
      const Tensor deviation = (mean - expected) / error;
      EXPECT_LE(deviation.abs().max().item<double>(), 4.0) << c.net << ": " << name << "\n" << mean << "\n" << error << "\n" << expected;
      deviations.push_back(deviation.reshape(-1));
      if (std::string(name) == "tangent kernel") {
        EXPECT_LE((error / expected.diagonal().max()).max().item<double>(), 0.06) << c.net << ": too noisy to say anything";
      }
    }
  }
  // A hundred deviations: single ones may reach 3, but together they are of size 1.
  EXPECT_LE(at::cat(deviations).square().mean().sqrt().item<double>(), 1.3);
}

TEST(FiniteNetworks, AreModels) {
  const Network network = parse_network("conv:3x3,same,b=0.1 relu residual(conv:3x3,same relu conv:3x3,same) gap dense:b=0.2");
  const auto model = finite_network(network, {2, 5, 5}, {.width = 8, .outputs = 3, .seed = 5, .dtype = at::kFloat});
  std::vector<std::string> names;
  for (const NamedTensor& p : model->parameters()) names.push_back(p.name);
  EXPECT_EQ(names, (std::vector<std::string>{"0.W", "0.b", "3.1.0.W", "3.1.2.W", "6.W", "6.b"}));
  const Tensor x = at::randn({4, 2, 5, 5}), out = model->forward({x}, Mode::eval)[0];
  EXPECT_EQ(out.sizes(), (at::IntArrayRef{4, 3}));
  EXPECT_EQ(out.scalar_type(), at::kFloat);
  const auto again = finite_network(network, {2, 5, 5}, {.width = 8, .outputs = 3, .seed = 5, .dtype = at::kFloat});
  EXPECT_TRUE(again->forward({x}, Mode::eval)[0].equal(out));
  const auto other = finite_network(network, {2, 5, 5}, {.width = 8, .outputs = 3, .seed = 6, .dtype = at::kFloat});
  EXPECT_FALSE(other->forward({x}, Mode::eval)[0].equal(out));
}

TEST(FiniteNetworks, NeedWidthsAndFittingInputs) {
  const Network network = parse_network("dense relu dense");
  EXPECT_REFUSED(InvalidInput, "has no width", finite_network(network, {4}, {.width = 0}));
  const auto model = finite_network(network, {4}, {.width = 5});
  EXPECT_REFUSED(InvalidInput, "made for examples of 4", model->forward({at::zeros({2, 3}, at::kDouble)}, Mode::eval));
  EXPECT_REFUSED(InvalidInput, "different shapes", finite_network(parse_network("dense residual(dense:7)"), {4}, {.width = 5}));
}

}  // namespace
}  // namespace pathkernel
