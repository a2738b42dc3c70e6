// Per-example shares of coupled batches: the pushforward against autograd's gradient of every single ℓ_i, the whole batch as its context.

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <pathkernel/core/error.h>
#include <pathkernel/model/architectures.h>
#include <pathkernel/tangent/catcher.h>
#include <pathkernel/tangent/coupled_batch.h>
#include <pathkernel/tangent/pushforward.h>
#include <pathkernel/train/objective.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>

#include "scratch.h"
#include "tangent/function_model.h"

namespace pathkernel {
namespace {

using testing::FunctionModel;
constexpr int64_t n = 7, Q = 4;

Tensor numbers(std::vector<int64_t> shape) { return at::randn(shape, at::kDouble) * 0.6; }

/// Two dense layers with batch norm between them, also for rows of several places (theory 2.5).
std::unique_ptr<Model> normed_mlp() {
  NamedTensors w = {{"a.weight", numbers({6, 5})}, {"a.bias", numbers({6})}, {"n.weight", numbers({6})}, {"n.bias", numbers({6})}, {"b.weight", numbers({3, 6})}, {"b.bias", numbers({3})}};
  NamedTensors buffers = {{"n.running_mean", at::zeros({6}, at::kDouble)}, {"n.running_var", at::ones({6}, at::kDouble)}, {"n.calls", at::zeros({}, at::kLong)}};
  return std::make_unique<FunctionModel>(w, buffers, [](const Tensors& w, const Tensors& b, const Tensor& x, Mode mode) {
    b[2].add_(1);
    const Tensor h = at::linear(x, w[0], w[1]);
    return at::linear(at::tanh(at::batch_norm(h, w[2], w[3], b[0], b[1], mode == Mode::train, 0.1, 1e-5, true)), w[4], w[5]);
  });
}

/// LeNet in small, with dropout drawn from the default generator, in place.
std::unique_ptr<Model> convolutional() {
  NamedTensors w = {{"c1.weight", numbers({4, 1, 3, 3})}, {"c1.bias", numbers({4})}, {"c2.weight", numbers({6, 2, 3, 3})}, {"c2.bias", numbers({6})}, {"f.weight", numbers({3, 24})}, {"f.bias", numbers({3})}};
  return std::make_unique<FunctionModel>(w, NamedTensors{}, [](const Tensors& w, const Tensors&, const Tensor& x, Mode mode) {
    Tensor h = at::max_pool2d(at::conv2d(x, w[0], w[1], 1, 1).relu_(), 2);
    h = at::max_pool2d(at::relu(at::conv2d(h, w[2], w[3], 1, 1, 1, 2)), 2);
    return at::linear(at::dropout(h.flatten(1), 0.3, mode == Mode::train), w[4], w[5]);
  });
}

/// A pre-norm attention block on tokens, with a class token, embeddings tied to the output, and dropout on the attention.
std::unique_ptr<Model> encoder() {
  const int64_t d = 8;
  NamedTensors w = {{"embedding", numbers({11, d})}, {"token", numbers({1, 1, d})},   {"n1.weight", numbers({d})},     {"n1.bias", numbers({d})},    {"qkv.weight", numbers({3 * d, d})}, {"qkv.bias", numbers({3 * d})},
                    {"out.weight", numbers({d, d})}, {"n2.weight", numbers({d})},     {"up.weight", numbers({2 * d, d})}, {"up.bias", numbers({2 * d})}, {"down.weight", numbers({d, 2 * d})}};
  return std::make_unique<FunctionModel>(w, NamedTensors{}, [=](const Tensors& w, const Tensors&, const Tensor& x, Mode mode) {
    Tensor h = at::cat({w[1].expand({x.size(0), 1, d}), at::embedding(w[0], x)}, 1);
    const auto heads = [&](const Tensor& t) { return t.view({t.size(0), t.size(1), 2, d / 2}).transpose(1, 2); };
    const auto qkv = at::linear(at::layer_norm(h, {d}, w[2], w[3]), w[4], w[5]).chunk(3, -1);
    const Tensor mixed = at::scaled_dot_product_attention(heads(qkv[0]), heads(qkv[1]), heads(qkv[2]), {}, mode == Mode::train ? 0.2 : 0.0);
    h = h + at::linear(mixed.transpose(1, 2).reshape({x.size(0), -1, d}), w[6]);
    h = h + at::linear(at::gelu(at::linear(at::layer_norm(h, {d}, w[7]), w[8], w[9])), w[10]);
    return at::matmul(h.select(1, 0), w[0].t()).narrow(1, 0, 3);
  });
}

/// Contrastive: rows compared with every other row of the batch.
std::unique_ptr<Model> contrastive() {
  NamedTensors w = {{"a", numbers({4, 5})}, {"temperature", at::full({}, 0.7, at::kDouble)}};
  return std::make_unique<FunctionModel>(w, NamedTensors{}, [](const Tensors& w, const Tensors&, const Tensor& x, Mode) {
    const Tensor z = at::linear(x, w[0]), unit = z / z.norm(2, {1}, true);
    return at::matmul(unit, unit.t()) / w[1];
  });
}

struct Net {
  std::string name;
  std::function<std::unique_ptr<Model>()> make;
  std::function<Tensor()> inputs;
  bool coupled, contrasts = false;
};

std::vector<Net> nets() {
  const auto rows = [] { return numbers({n, 5}); };
  return {
      {"batch_norm", normed_mlp, rows, true},
      {"convolutions_and_dropout", convolutional, [] { return numbers({n, 1, 8, 8}); }, false},
      {"encoder", encoder, [] { return at::randint(0, 11, {n, 5}, at::kLong); }, false},
      {"contrastive", contrastive, rows, true, true},
      {"resnet", [] { return make_model("resnet:2-4-6-3", "relu", 5, at::kDouble); }, [] { return numbers({n, 2, 6, 6}); }, true},
      {"resnet_gelu", [] { return make_model("resnet:1-3-3-3", "gelu", 5, at::kDouble); }, [] { return numbers({n, 1, 5, 7}); }, true},
      {"lenet", [] { return make_model("lenet", "relu", 5, at::kDouble); }, [] { return numbers({n, 1, 28, 28}); }, false},
  };
}

/// A net with a batch and its per-example losses; random operations begin at the same place whenever they are asked.
struct Setting {
  explicit Setting(const Net& net) : contrasts(net.contrasts) {
    at::manual_seed(11);
    model = net.make();
    x = net.inputs();
    y = at::randint(0, 3, {n}, at::kLong);
  }
  Tensor losses() {
    at::manual_seed(99);
    const Tensor out = model->forward({x}, Mode::train)[0];
    if (contrasts) return at::logsumexp(out, 1) - out.diagonal(0, 0, 1) + at::logsumexp(out, 0) * 0.5;
    return at::cross_entropy_loss(out, y, {}, at::Reduction::None);
  }
  Tensors tangents() {
    Tensors out;
    for (const NamedTensor& p : model->parameters()) out.push_back(at::randn({Q, p.tensor.numel()}, at::kDouble));
    return out;
  }
  std::unique_ptr<LossTape> tape(const std::function<Tensor(const Tensor&)>& weights = {}) {
    return std::make_unique<LossTape>(*model, Tensors{x, y}, [this] { return losses(); }, weights);
  }

  bool contrasts;
  std::unique_ptr<Model> model;
  Tensor x, y;
};

class Pushforward : public ::testing::TestWithParam<Net> {};
std::string net_name(const ::testing::TestParamInfo<Net>& info) { return info.param.name; }

TEST_P(Pushforward, EqualsTheGradientOfEveryExample) {
  Setting s(GetParam());
  const Tensors lambda = s.tangents(), parameters = values(s.model->parameters());
  const auto tape = s.tape();
  const Tensor pushed = tape->products(lambda);
  ASSERT_EQ(pushed.sizes(), at::IntArrayRef({n, Q}));

  const Tensors before = copies(values(s.model->buffers()));
  const Tensor losses = s.losses();
  s.model->bind_buffers(before);
  EXPECT_LE((losses.detach() - tape->losses()).abs().max().item<double>(), 1e-14);
  Tensor expected = at::zeros({n, Q}, at::kDouble);
  for (int64_t i = 0; i < n; ++i) {
    const Tensors g = torch::autograd::grad({losses[i]}, parameters, {}, /*retain_graph=*/true, false, true);
    for (size_t l = 0; l < g.size(); ++l) {
      if (g[l].defined()) expected[i].add_(at::matmul(lambda[l], g[l].reshape(-1)));
    }
  }
  const double size = expected.abs().max().item<double>();
  EXPECT_GT(expected.abs().min().item<double>(), 0);
  EXPECT_LE((pushed - expected).abs().max().item<double>(), 1e-12 * size);
  EXPECT_LE((pushed - tape->products(lambda, {.memory = 1})).abs().max().item<double>(), 1e-13 * size);
  EXPECT_LE((pushed - tape->products(lambda, {.only_forward_mode = true})).abs().max().item<double>(), 1e-12 * size);
}

TEST_P(Pushforward, SharesSumToTheBatchsGradient) {
  Setting s(GetParam());
  const Tensor b = at::rand({n}, at::kDouble);
  const auto tape = s.tape([&](const Tensor&) { return b; });
  const Tensors lambda = s.tangents();
  Tensor sum = at::zeros({Q}, at::kDouble);
  for (size_t l = 0; l < lambda.size(); ++l) sum.add_(at::matmul(lambda[l], tape->gradient()[l]));
  const Tensor pushed = at::matmul(tape->products(lambda).t(), b);
  EXPECT_LE((pushed - sum).abs().max().item<double>(), 1e-12 * sum.abs().max().item<double>());
}

/// Taping leaves no trace: buffers, their storage, the generator and the weights are as they were.
TEST_P(Pushforward, PutsEverythingBack) {
  Setting s(GetParam());
  const Tensors buffers = copies(values(s.model->buffers()));
  std::vector<const void*> places;
  for (const NamedTensor& buffer : s.model->buffers()) places.push_back(buffer.tensor.const_data_ptr());
  at::manual_seed(5);
  at::rand({3});
  const Tensor next = [] {
    const at::Generator generator = at::globalContext().defaultGenerator(at::kCPU).clone();
    return at::rand({4}, generator);
  }();
  s.tape([](const Tensor& losses) { return at::ones_like(losses); });
  EXPECT_TRUE(at::rand({4}).equal(next));
  for (size_t k = 0; k < buffers.size(); ++k) {
    EXPECT_TRUE(s.model->buffers()[k].tensor.equal(buffers[k])) << s.model->buffers()[k].name;
    EXPECT_EQ(s.model->buffers()[k].tensor.const_data_ptr(), places[k]);
  }
  for (const NamedTensor& p : s.model->parameters()) EXPECT_FALSE(p.tensor.grad().defined());
}

/// The training side says of each net whether its examples are coupled, in the forward pass or by the probe.
TEST_P(Pushforward, CouplingIsFound) {
  Setting s(GetParam());
  const auto factors = [&] {
    Catcher catcher(s.model->parameters(), s.model->buffers(), {s.x, s.y});
    const Tensor losses = s.losses();
    catcher.forward_done();
    losses.sum().backward({}, true);
    const FactorSet once = catcher.take();
    losses.mul(at::arange(1, n + 1, at::kDouble)).sum().backward();
    Catcher::check_owners(once, catcher.take(), s.model->parameters());
  };
  if (GetParam().coupled) EXPECT_THROW(factors(), CoupledBatch);
  else EXPECT_NO_THROW(factors());
}

INSTANTIATE_TEST_SUITE_P(Nets, Pushforward, ::testing::ValuesIn(nets()), net_name);

TEST(PushforwardSizes, NoQueriesAndNoTangents) {
  Setting s(nets()[0]);
  const auto tape = s.tape();
  EXPECT_EQ(tape->products(Tensors(s.model->parameters().size())).sizes(), at::IntArrayRef({n, 0}));
  Tensors zero(s.model->parameters().size());
  zero[1] = at::zeros({2, 6}, at::kDouble);
  EXPECT_EQ(tape->products(zero).abs().max().item<double>(), 0);
}

/// A bias before batch norm moves nothing: its shares are rounding, not the large numbers of the summed loss's rows (theory 2.5).
TEST(PushforwardSizes, BiasBeforeBatchNormEarnsNothing) {
  Setting s(nets()[0]);
  Tensors lambda(s.model->parameters().size());
  lambda[1] = at::randn({Q, 6}, at::kDouble);
  EXPECT_LE(s.tape()->products(lambda).abs().max().item<double>(), 1e-14);
}

TEST(PushforwardSizes, Float32) {
  Setting s(nets()[4]);
  const Tensors lambda = s.tangents();
  const Tensor fine = s.tape()->products(lambda);
  s.model->bind_parameters(copies(values(s.model->parameters()), at::kFloat));
  Tensors buffers;
  for (const NamedTensor& b : s.model->buffers()) buffers.push_back(at::isFloatingType(b.tensor.scalar_type()) ? b.tensor.to(at::kFloat) : b.tensor);
  s.model->bind_buffers(buffers);
  s.x = s.x.to(at::kFloat);
  Tensors rough;
  for (const Tensor& t : lambda) rough.push_back(t.to(at::kFloat));
  const Tensor pushed = s.tape()->products(rough);
  EXPECT_EQ(pushed.scalar_type(), at::kFloat);
  EXPECT_LE((pushed.to(at::kDouble) - fine).abs().max().item<double>(), 1e-5 * fine.abs().max().item<double>());
}

/// Numbers of a backward pass that is not the derivative of its forward pass: refused, never a silent number.
struct Doubled : torch::autograd::Function<Doubled> {
  static Tensor forward(torch::autograd::AutogradContext*, const Tensor& x) { return x.clone(); }
  static torch::autograd::tensor_list backward(torch::autograd::AutogradContext*, torch::autograd::tensor_list v) { return {v[0] * 2}; }
};

TEST(PushforwardRefuses, ABackwardPassOfItsOwn) {
  FunctionModel model({{"w", numbers({3, 5})}}, {}, [](const Tensors& w, const Tensors&, const Tensor& x, Mode) { return at::tanh(Doubled::apply(at::linear(x, w[0]))); });
  const Tensor x = numbers({n, 5});
  EXPECT_REFUSED(InvalidInput, "a backward pass of its own", LossTape(model, {x}, [&] { return model.forward({x}, Mode::train)[0].sum(1); }));
  FunctionModel last({{"w", numbers({3, 5})}}, {}, [](const Tensors& w, const Tensors&, const Tensor& x, Mode) { return Doubled::apply(at::linear(x, w[0]).sum(1)); });
  EXPECT_REFUSED(InvalidInput, "do not come from the parameters", LossTape(last, {x}, [&] { return last.forward({x}, Mode::train)[0]; }));
}

TEST(PushforwardRefuses, AConstantThatIsWrittenInto) {
  FunctionModel model({{"w", numbers({3, 5})}}, {}, [](const Tensors& w, const Tensors&, const Tensor& x, Mode) {
    Tensor h = at::zeros({x.size(0), 4}, at::kDouble);
    h.narrow(1, 0, 3).copy_(at::linear(x, w[0]));
    return at::tanh(h);
  });
  const Tensor x = numbers({n, 5});
  EXPECT_REFUSED(InvalidInput, "a constant that was written into", LossTape(model, {x}, [&] { return model.forward({x}, Mode::train)[0].sum(1); }));
}

TEST(PushforwardRefuses, RandomNumbersDrawnFromParameters) {
  FunctionModel model({{"w", numbers({3, 5})}}, {}, [](const Tensors& w, const Tensors&, const Tensor& x, Mode) {
    const Tensor h = at::linear(x, w[0]);
    return h * at::bernoulli(at::sigmoid(h));
  });
  const Tensor x = numbers({n, 5});
  LossTape tape(model, {x}, [&] { return model.forward({x}, Mode::train)[0].sum(1); });
  EXPECT_REFUSED(InvalidInput, "draws random numbers", tape.products({numbers({Q, 15})}));
}

TEST(PushforwardRefuses, ParametersReadBehindItsBack) {
  FunctionModel model({{"w", numbers({3, 5})}}, {}, [](const Tensors& w, const Tensors&, const Tensor& x, Mode) { return at::linear(x, w[0]) + w[0].variable_data().sum(); });
  const Tensor x = numbers({n, 5});
  EXPECT_REFUSED(InvalidInput, "behind the tape's back", LossTape(model, {x}, [&] { return model.forward({x}, Mode::train)[0].sum(1); }));
}

}  // namespace
}  // namespace pathkernel
