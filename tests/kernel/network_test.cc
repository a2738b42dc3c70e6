// Theory 6's oracles for whole networks, and the three ways to ask for a kernel (rectangular, symmetric, diagonal) against each other.

#include "comparisons.h"

#include <pathkernel/core/error.h>
#include <pathkernel/kernel/gram.h>
#include <pathkernel/kernel/network.h>

#include <ATen/ops/arange.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros.h>
#include <scratch.h>

#include <cmath>

namespace pathkernel {
namespace {

using testing::largest_difference;
using testing::relative_difference;

KernelPtr ntk(const std::string& net, const LayerDefaults& defaults = {}) { return network_kernel(parse_network(net, defaults), Limit::ntk); }
KernelPtr nngp(const std::string& net, const LayerDefaults& defaults = {}) { return network_kernel(parse_network(net, defaults), Limit::nngp); }

/// Inputs of two numbers with ⟨x, x'⟩/2 = S, S = ((1, .2), (.2, .5)).
Tensor inputs_with_S() { return at::tensor({std::sqrt(2.0), 0.0, 0.2 * std::sqrt(2.0), std::sqrt(2 * 0.46)}, at::kDouble).view({2, 2}); }

struct Deep { const char* phi; double K12, Theta12, Theta11; };

TEST(Networks, DeepOnesGiveTheNumbersOfTheory) {
  LayerDefaults defaults{.W_std = std::sqrt(1.5), .b_std = std::sqrt(0.1)};
  for (const Deep& d : {Deep{"relu", 0.565142838891, 1.093673809542, 3.11875}, Deep{"leaky:0.1", 0.552574717798, 1.121675892805, 3.205454575},
                        Deep{"abs", 3.800618784732, 6.765656342907, 22.675}, Deep{"erf", 0.362364461691, 0.962316737351, 3.157159959071},
                        Deep{"gelu", 0.327133616231, 0.679736599938, 2.324160043221}, Deep{"sin", 0.328586815088, 0.833408350270, 3.053092117059},
                        Deep{"cos", 0.858242649919, 1.369137038879, 2.399209626726}}) {
    std::string net = "dense";
    for (int layer = 0; layer < 3; ++layer) net += std::string(" ") + d.phi + " dense";
    const Tensor Theta = ntk(net, defaults)->gram(inputs_with_S()), K = nngp(net, defaults)->gram(inputs_with_S());
    EXPECT_NEAR(K[0][1].item<double>(), d.K12, 1e-12) << d.phi;
    EXPECT_NEAR(Theta[0][1].item<double>(), d.Theta12, 1e-12) << d.phi;
    EXPECT_NEAR(Theta[0][0].item<double>(), d.Theta11, 1e-11) << d.phi;
  }
}

struct Sphere { double u; std::array<double, 8> values; };  ///< κ, N for L = 2, 3, 5, 10

TEST(Networks, OnTheSphereGiveTheTableOfTheory) {
  const std::array<int, 4> depths = {2, 3, 5, 10};
  const std::vector<Sphere> table = {
      {-1, {0, 0, .318309886183791, .318309886183791, .604825720112945, 1.06038810680258, .834416302592547, 2.82627390055894}},
      {-.5, {.108997781044229, -.0576688856224373, .374701498320752, .343862246272727, .627998626904349, 1.1306221308579, .840323237244374,
             2.90781015753626}},
      {0, {.318309886183791, .318309886183791, .493731090200372, .685708636282942, .680953533355736, 1.43039049721037, .854809237548906,
           3.1559474489217}},
      {.3, {.482744283835488, .661840289041691, .597548485180469, 1.03460129961284, .732161916784791, 1.76582657532255, .870322412641823,
            3.4545917475541}},
      {.9, {.909538398844672, 1.68032873502884, .917741144229243, 2.36881366271826, .931056846510213, 3.54595815755137, .952843336561983,
            5.81344415029017}},
      {1, {1, 2, 1, 3, 1, 5, 1, 10}}};
  for (const Sphere& s : table) {
    // Two unit vectors with product u; σ_w² = 2 after the first layer, and 1/d taken out of it.
    const Tensor x = at::tensor({1.0, 0.0}, at::kDouble).view({1, 2}), y = at::tensor({s.u, std::sqrt(1 - s.u * s.u)}, at::kDouble).view({1, 2});
    for (size_t k = 0; k < depths.size(); ++k) {
      std::string net = "dense:w=1.4142135623730951";
      for (int layer = 1; layer < depths[k]; ++layer) net += " relu dense:w=1.4142135623730951";
      const bool same = s.u == 1;
      const Tensor K = same ? nngp(net)->gram(x) : nngp(net)->gram(x, y), Theta = same ? ntk(net)->gram(x) : ntk(net)->gram(x, y);
      EXPECT_NEAR(K.item<double>(), s.values[2 * k], 1e-12) << "u " << s.u << " L " << depths[k];
      EXPECT_NEAR(Theta.item<double>(), s.values[2 * k + 1], 1e-12) << "u " << s.u << " L " << depths[k];
    }
  }
}

TEST(Networks, ConvolutionsGiveTheNumbersOfTheory) {
  const Tensor x = at::tensor({1.0, 2.0, 3.0, 4.0, 1.0, -1.0, 1.0, 0.5}, at::kDouble).view({2, 1, 4});
  LayerDefaults defaults{.W_std = std::sqrt(2.0), .b_std = std::sqrt(0.1)};
  const std::string two = "conv:3,same relu conv:3,same relu ";
  EXPECT_NEAR(nngp(two + "flatten dense", defaults)->gram(x)[0][1].item<double>(), 2.520238993219, 1e-12);
  EXPECT_NEAR(ntk(two + "flatten dense", defaults)->gram(x)[0][1].item<double>(), 4.616743427489, 1e-12);
  EXPECT_NEAR(ntk(two + "flatten dense", defaults)->gram(x)[0][0].item<double>(), 32.05, 1e-12 * 32);
  EXPECT_NEAR(nngp(two + "gap dense", defaults)->gram(x)[0][1].item<double>(), 2.203680430935, 1e-12);
  EXPECT_NEAR(ntk(two + "gap dense", defaults)->gram(x)[0][1].item<double>(), 3.623372252618, 1e-12);
  EXPECT_NEAR(ntk(two + "gap dense", defaults)->gram(x)[0][0].item<double>(), 20.048423052932, 1e-12 * 20);
}

TEST(Networks, ResidualOnesGiveTheNumbersOfTheory) {
  const std::string block = " residual:0.5(relu dense:w=1.224744871391589,b=0.31622776601683794)";
  const std::string net = "dense" + block + block + block;  // dense: K = Θ = S
  EXPECT_NEAR(nngp(net)->gram(inputs_with_S())[0][1].item<double>(), .523559947370, 1e-12);
  EXPECT_NEAR(ntk(net)->gram(inputs_with_S())[0][1].item<double>(), .633706133455, 1e-12);
  EXPECT_NEAR(ntk(net)->gram(inputs_with_S())[0][0].item<double>(), 2.573535156250, 1e-12);
}

TEST(Networks, LayerNormGivesTheNumbersOfTheory) {
  const std::string block = " layernorm:0 gelu dense:w=1.224744871391589";
  const std::string net = "dense" + block + block;
  EXPECT_NEAR(nngp(net)->gram(inputs_with_S())[0][1].item<double>(), .276818609847, 1e-12);
  EXPECT_NEAR(ntk(net)->gram(inputs_with_S())[0][1].item<double>(), .548503966986, 1e-12);
  EXPECT_NEAR(ntk(net)->gram(inputs_with_S())[0][0].item<double>(), 2.054638320555, 1e-12);
}

TEST(Networks, DiagonalsOfTwentyLayersKeepSixDigitsInSinglePrecision) {
  std::string net = "dense";
  for (int layer = 0; layer < 20; ++layer) net += " relu dense";
  const Tensor x = at::randn({50, 30}, at::kDouble);
  LayerDefaults defaults{.W_std = std::sqrt(2.0), .b_std = 0.1};
  const Tensor K = (x.square().sum(1) / 30 * 2 + 0.01).reshape({50});
  Tensor variance = K, Theta = K;  // by the recursion, which for θ = 0 is F = a/2, Ḟ = 1/2
  for (int layer = 0; layer < 20; ++layer) variance = variance + 0.01, Theta = variance + Theta;
  const KernelPtr kernel = ntk(net, defaults);
  for (const auto dtype : {at::kFloat, at::kDouble}) {
    const double eps = dtype == at::kFloat ? 1e-6 : 1e-14;
    const Tensor gram = kernel->gram(x.to(dtype)), diagonal = kernel->diagonal(x.to(dtype));
    EXPECT_LE(((gram.diagonal().to(at::kDouble) - Theta) / Theta).abs().max().item<double>(), eps);
    EXPECT_LE(((diagonal.to(at::kDouble) - Theta) / Theta).abs().max().item<double>(), eps);
    EXPECT_TRUE(gram.equal(gram.t()));
  }
}

const std::vector<std::pair<std::string, std::vector<int64_t>>> zoo = {
    {"dense:b=0.3 erf dense:w=1.2 gelu dense", {5}},
    {"dense relu dense:b=0.1 sin dense", {5}},
    {"dense tanh dense silu dense", {5}},
    {"dense:16,w=1.3,standard relu dense:1,b=0.2,standard", {5}},
    {"flatten dense relu dense", {2, 3, 3}},
    {"conv:3x3,same,b=0.1 relu conv:2x2,stride=2 relu flatten dense", {2, 5, 4}},
    {"conv:3x3,circular relu conv:3x3,stride=2x1,same erf gap dense relu dense", {2, 5, 4}},
    {"conv:3,same relu avgpool:2,stride=2 conv:2 relu flatten dense", {3, 8}},
    {"conv:3,same relu avgpool:3,same conv:3,same gelu gap dense", {3, 6}},
    {"conv:3x3,same residual:0.7(relu conv:3x3,same relu conv:3x3,same) relu gap dense", {2, 4, 4}},
    {"dense fanout:3 parallel(identity | relu dense | erf dense:b=0.1) faninsum gelu dense", {5}},
    {"dense layernorm gelu dense:b=0.2", {5}},
    {"conv:3,same,b=0.1 layernorm relu conv:3,same layernorm gelu gap dense", {2, 5}},
    {"dense attention relu gap dense", {3, 4}},
    {"dense attention:w_query=1.3,w_key=0.8,w_value=1.1,w_out=0.9,b=0.2 residual(relu dense) flatten dense", {3, 4}},
    {"dense attention:identity,scale=sqrt,w_query=0.5 relu flatten dense", {3, 4}},
    {"dense attention:identity attention gap dense", {3, 2, 2}},
};

Tensor inputs(int64_t n, const std::vector<int64_t>& example) {
  std::vector<int64_t> sizes = {n};
  sizes.insert(sizes.end(), example.begin(), example.end());
  return at::randn(sizes, at::kDouble);
}

TEST(Networks, RectangularSymmetricAndDiagonalAgree) {
  for (const auto& [net, example] : zoo) {
    const Tensor x = inputs(6, example), y = inputs(4, example);
    for (const KernelPtr& kernel : {ntk(net), nngp(net)}) {
      const Tensor symmetric = kernel->gram(x), rectangular = kernel->gram(x, y);
      EXPECT_EQ(rectangular.sizes(), (at::IntArrayRef{6, 4})) << net;
      testing::expect_positive_semi_definite(symmetric, 1e-13);
      EXPECT_LE(relative_difference(kernel->diagonal(x), symmetric.diagonal()), 1e-13) << net;
      const Tensor off = (kernel->gram(x, x.clone()) - symmetric).fill_diagonal_(0);  // the rectangular one does not know which inputs are equal
      EXPECT_LE(off.abs().max().item<double>() / symmetric.abs().max().item<double>(), 1e-13) << net;
      EXPECT_LE(relative_difference(kernel->gram(y, x).t(), rectangular), 1e-13) << net;
      EXPECT_LE(relative_difference(kernel->gram(x.to(at::kFloat), y.to(at::kFloat)), rectangular), 2e-5) << net;
    }
  }
}

TEST(Networks, BothKernelsOfOnePassAreThoseAskedForSeparately) {
  for (const auto& [net, example] : zoo) {
    const Tensor x = inputs(3, example);
    const Network network = parse_network(net);
    const KernelState end = network.propagate(x, x, Pairing::rectangular, true);
    EXPECT_TRUE(end.K.equal(nngp(net)->gram(x, x))) << net;
    EXPECT_TRUE(end.Theta.equal(ntk(net)->gram(x, x))) << net;
  }
}

TEST(Networks, TextsReadBackAsTheSameNetwork) {
  for (const auto& [net, example] : zoo) {
    const std::string printed = parse_network(net).specification();
    EXPECT_EQ(parse_network(printed).specification(), printed);
    const Tensor x = inputs(3, example);
    EXPECT_TRUE(ntk(printed)->gram(x).equal(ntk(net)->gram(x))) << net << "\n" << printed;
  }
  for (const char* text : {"abrelu:0.1,2", "erf:0.5,1,0.2", "sin:2", "cos:1,2,3", "exp:1,0.3", "gaussian:1,-0.2", "monomial:4", "rectified:2",
                           "polynomial:1,0,0.5", "hermite:0,1,0.5",
                           "layernorm:0.1", "scale:-2", "attention:scale=sqrt,samples=20,seed=3,width=4,key=2,value=3,heads=2,b=0",
                               "dense:7,w=2,b=0,standard", "conv:3x2,stride=1x2,same,width=4,w=1"}) {
    const std::string printed = parse_network(text).specification();
    EXPECT_EQ(parse_network(printed).specification(), printed) << text;
  }
}

TEST(Networks, RefuseWhatTheyCannotDo) {
  const Tensor x = inputs(3, {5}), image = inputs(3, {2, 4, 4});
  const auto refused = [&](const std::string& net, const Tensor& x,
                           const std::string& part) { EXPECT_REFUSED(InvalidInput, part, ntk(net)->gram(x)); };
  refused("relu dense", x, "put a dense or conv layer before it");
  refused("dense relu relu dense", x, "put a dense or conv layer before it");
  refused("dense relu layernorm dense", x, "the channels' mean is not zero");
  refused("conv:3x3 relu flatten relu dense", image, "put a dense or conv layer before it");
  refused("dense sign dense", x, "use nngp");
  refused("dense relu dense", image, "put flatten or gap");
  refused("conv:3x3 relu flatten dense", x, "the window has 2 axes, but its input has 0");
  refused("conv:5x5 relu flatten dense", image, "larger than its input");
  refused("gap dense", x, "no positions");
  refused("attention dense", x, "no positions");
  refused("dense:standard relu dense:standard", x, "write them, e.g. dense:512,standard");
  refused("dense fanout:2 parallel(identity | identity) faninsum dense", x, "correlated");
  refused("dense fanout:2 parallel(relu | relu dense relu) faninsum dense", x, "correlated");
  refused("dense fanout:2 dense", x, "takes one signal, but 2 arrive");
  refused("dense fanout:3 parallel(identity | dense) faninsum dense", x, "2 branches, but 3 signals");
  refused("dense faninsum", x, "no fanout before it");
  refused("dense fanout:2", x, "add faninsum");
  refused("conv:3x3,same fanout:2 parallel(identity | conv:3x3) faninsum gap dense", image, "padding same");
  refused("identity", x, "no weights");
  const auto unread = [](const std::string& net, const std::string& part) { EXPECT_REFUSED(InvalidInput, part, parse_network(net)); };
  unread("", "no layers");
  unread("dense rleu dense", "there is no layer \"rleu\"; there are");
  unread("dense:0", "positive whole number");
  unread("dense:512,c=2", "does not understand \"c=2\"; it takes");
  unread("conv", "window's size is missing");
  unread("conv:3x3,stride=1x2x3", "stride has 3");
  unread("leaky", "a number is missing, e.g. leaky:0.1");
  unread("dense:w=-1", "zero or more");
  unread("dense:w=nan", "no number");
  unread("gaussian:1,1", "below zero");
  unread("residual(dense", "expected )");
  unread("residual()", "is empty");
  unread("residual(dense | dense)", "one branch");
  unread("parallel dense", "expected ( after parallel");
  unread("dense )", "without a group");
  unread("monomial:2.5", "whole number");
  unread("attention:scale=cube", "linear (1/d) or sqrt");
  unread("polynomial", "give its coefficients");
}

TEST(Networks, SignHasARectangularTangentKernelAndADiagonalCovariance) {
  const Tensor x = inputs(3, {5}), y = inputs(2, {5});
  EXPECT_TRUE(at::isfinite(ntk("dense sign dense")->gram(x, y)).all().item<bool>());
  EXPECT_TRUE(nngp("dense sign dense")->gram(x).diagonal().equal(at::ones({3}, at::kDouble)));
}

TEST(Networks, ThroughAFlatJumpOnlyTheWeightsAfterItAreTrained) {
  const Tensor x = inputs(3, {5});
  for (const char* net : {"dense sign:flat dense", "dense relu dense step:flat dense"})
    EXPECT_TRUE(ntk(net)->gram(x).equal(nngp(net)->gram(x))) << net;
  EXPECT_EQ(parse_network("dense:w=1 sign:flat step:flat").specification(), "dense:w=1 sign:flat step:flat");
}

TEST(Networks, HyperparametersCanBeReadSetAndDifferentiated) {
  const KernelPtr kernel = ntk("dense:w=1.2,b=0.3 relu residual:0.5(dense erf dense:w=0.9) dense");
  std::vector<std::string> names;
  for (const Hyperparameter& p : kernel->hyperparameters()) names.push_back(p.name);
  EXPECT_EQ(names, (std::vector<std::string>{"0.W_std", "0.b_std", "3.1.0.W_std", "3.1.2.W_std", "3.1.3.scale", "5.W_std"}));
  const Tensor x = inputs(4, {5});
  for (const Hyperparameter& p : kernel->hyperparameters()) {
    const double h = 1e-4;
    const auto at_value = [&](double v) {
      kernel->set_hyperparameter(p.name, at::tensor(v, at::kDouble));
      return kernel->gram(x).sum().item<double>();
    };
    const double value = p.value.item<double>();
    const double numerical = (8 * (at_value(value + h) - at_value(value - h)) - (at_value(value + 2 * h) - at_value(value - 2 * h))) / (12 * h);
    const Tensor theta = at::tensor(value, at::kDouble).requires_grad_(true);
    kernel->set_hyperparameter(p.name, theta);
    kernel->gram(x).sum().backward();
    EXPECT_NEAR(theta.grad().item<double>(), numerical, 1e-8 * std::max(1.0, std::abs(numerical))) << p.name;
    kernel->set_hyperparameter(p.name, theta.detach());
  }
  EXPECT_REFUSED(InvalidInput, "it has 0.W_std", kernel->set_hyperparameter("w", at::ones({}, at::kDouble)));
  EXPECT_REFUSED(InvalidInput, "zero or more", kernel->set_hyperparameter("0.W_std", at::ones({}, at::kDouble) * -1));
}

}  // namespace
}  // namespace pathkernel
