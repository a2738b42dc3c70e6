// Secant rules of the norms: ⟨G, Δθ⟩ + ⟨G^β, Δβ⟩ = f₁ − f₀ for every query, with buffers that move as well (theory 2.5, 3b).

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <pathkernel/core/error.h>
#include <pathkernel/model/architectures.h>
#include <pathkernel/tangent/capture.h>
#include <pathkernel/tangent/contraction.h>
#include <pathkernel/tangent/reverse.h>
#include <torch/csrc/autograd/autograd.h>

#include "scratch.h"
#include "tangent/function_model.h"

namespace pathkernel {
namespace {

using testing::FunctionModel;
constexpr int64_t n = 5, C = 6;

Tensor numbers(std::vector<int64_t> shape) { return at::randn(shape, at::kDouble) * 0.7; }

struct Net {
  std::string name;
  std::function<std::unique_ptr<Model>()> make;
  std::vector<int64_t> inputs;
};

/// A dense or convolutional layer, the norm, a nonlinear head.
using NormOf = std::function<Tensor(const Tensor& x, const Tensor& scale, const Tensor& shift, const Tensors& buffers)>;

Net net(const std::string& name, bool images, NormOf norm, std::vector<int64_t> scale = {C}) {
  const auto make = [=]() -> std::unique_ptr<Model> {
    const NamedTensors w = {{"in", images ? numbers({C, 2, 3, 3}) : numbers({C, 4})}, {"scale", numbers(scale) + 1}, {"shift", numbers(scale)}, {"out", numbers({3, C})}};
    const NamedTensors buffers = {{"mean", numbers({C})}, {"var", at::rand({C}, at::kDouble) + 0.2}, {"calls", at::zeros({}, at::kLong)}};
    return std::make_unique<FunctionModel>(w, buffers, [=](const Tensors& w, const Tensors& b, const Tensor& x, Mode) {
      const Tensor h = norm(images ? at::conv2d(x, w[0], {}, 1, 1) : at::linear(x, w[0]), w[1], w[2], b);
      return at::linear(at::tanh(images ? h.mean({2, 3}) : h), w[3]);
    });
  };
  return {name, make, images ? std::vector<int64_t>{n, 2, 4, 5} : std::vector<int64_t>{n, 4}};
}

std::vector<Net> nets() {
  const auto batch = [](const Tensor& x, const Tensor& scale, const Tensor& shift, const Tensors& b) { return at::batch_norm(x, scale, shift, b[0], b[1], false, 0.1, 1e-3, true); };
  // Five places of each example: as rows they are mixed with the examples, as time they come before them.
  const auto places = [](const Tensor& x) { return at::stack({x, x * 2, x + 0.3}, 1); };
  return {
      net("batch_norm", false, batch),
      net("batch_norm_of_images", true, batch),
      net("batch_norm_plain", true, [](const Tensor& x, const Tensor&, const Tensor&, const Tensors& b) { return at::batch_norm(x, {}, {}, b[0], b[1], false, 0.1, 1e-3, true); }),
      net("batch_norm_of_places", false, [=](const Tensor& x, const Tensor& scale, const Tensor& shift, const Tensors& b) {
        return batch(places(x).flatten(0, 1), scale, shift, b).view({x.size(0), 3, C}).sum(1);
      }),
      net("batch_norm_time_first", false, [=](const Tensor& x, const Tensor& scale, const Tensor& shift, const Tensors& b) {
        return batch(places(x).transpose(0, 1).reshape({-1, C}), scale, shift, b).view({3, x.size(0), C}).sum(0);
      }),
      net("batch_norm_of_shared_numbers", false, [=](const Tensor& x, const Tensor& scale, const Tensor& shift, const Tensors& b) {
        return x * batch(at::stack({scale, shift, scale * shift}), scale, shift, b).sum(0);
      }),
      net("group_norm", true, [](const Tensor& x, const Tensor& scale, const Tensor& shift, const Tensors&) { return at::group_norm(x, 3, scale, shift, 1e-3); }),
      net("group_norm_plain", false, [](const Tensor& x, const Tensor&, const Tensor&, const Tensors&) { return at::group_norm(x, 2); }),
      net("instance_norm", true, [](const Tensor& x, const Tensor& scale, const Tensor& shift, const Tensors&) { return at::instance_norm(x, scale, shift, {}, {}, true, 0.1, 1e-3, true); }),
      net("instance_norm_running", true, [](const Tensor& x, const Tensor& scale, const Tensor& shift, const Tensors& b) { return at::instance_norm(x, scale, shift, b[0], b[1], false, 0.1, 1e-3, true); }),
      net("rms_norm", false, [](const Tensor& x, const Tensor& scale, const Tensor&, const Tensors&) { return at::rms_norm(x, {C}, scale) + at::rms_norm(x, {C}, {}, 1e-3); }),
      net("rms_norm_of_two_dimensions", false, [=](const Tensor& x, const Tensor& scale, const Tensor&, const Tensors&) { return at::rms_norm(places(x), {3, C}, scale).sum(1); }, {3, C}),
      net("layer_norm", false, [](const Tensor& x, const Tensor& scale, const Tensor& shift, const Tensors&) { return at::layer_norm(x, {C}, scale, shift); }),
      {"resnet", [] { return make_model("resnet:2-4-6-3", "relu", 5, at::kDouble); }, {n, 2, 6, 6}},
  };
}

/// One end of a segment: its tape and the measurement, output 1 of each query.
struct End {
  Tape tape;
  ValueId id = no_value;
  Tensor values;
};

std::unique_ptr<End> evaluate(Model& model, const Tensors& weights, const Tensors& buffers, const Tensor& x) {
  auto end = std::make_unique<End>();
  model.bind_parameters(weights);
  model.bind_buffers(buffers);
  Capture capture(end->tape, Side::query, model.parameters(), model.buffers(), {x});
  const Tensor values = model.forward({x}, Mode::eval)[0].select(1, 1);
  end->id = end->tape.find(values);
  end->values = values.detach();
  return end;
}

Tensors moved(const Tensors& from, double step) {
  Tensors to;
  for (const Tensor& t : from) to.push_back(at::isFloatingType(t.scalar_type()) ? t * (1 + at::rand(t.sizes(), at::kDouble) * step) + step * 0.1 : t + 3);
  return to;
}

class Norms : public ::testing::TestWithParam<Net> {
 protected:
  void SetUp() override {
    at::manual_seed(4);
    model = GetParam().make();
    x = numbers(GetParam().inputs);
    weights = copies(values(model->parameters()));
    buffers = copies(values(model->buffers()));
    for (Tensor& b : buffers) {
      if (at::isFloatingType(b.scalar_type())) b = b + at::rand(b.sizes(), at::kDouble) * 0.3;
    }
  }
  std::unique_ptr<Model> model;
  Tensor x;
  Tensors weights, buffers;
};
std::string net_name(const ::testing::TestParamInfo<Net>& info) { return info.param.name; }

TEST_P(Norms, SecantsAreCompleteWithBuffers) {
  for (const double step : {0.5, 0.05, 1e-6}) {
    SCOPED_TRACE(step);
    const Tensors weights1 = moved(weights, step), buffers1 = moved(buffers, step);
    const auto at0 = evaluate(*model, weights, buffers, x), at1 = evaluate(*model, weights1, buffers1, x);
    Reverse reverse(at0->tape, at1->tape);
    reverse.seed(at0->id, at::ones({n}, at::kDouble));
    CorrectionShares shares;
    const FactorSet G = reverse.run(&shares);
    EXPECT_TRUE(shares.empty()) << shares.begin()->first << " has no rule";
    Tensor sum = at::zeros({n}, at::kDouble), size = at::zeros({n}, at::kDouble), of_buffers = at::zeros({n}, at::kDouble);
    Tensors from = weights, to = weights1;
    from.insert(from.end(), buffers.begin(), buffers.end());
    to.insert(to.end(), buffers1.begin(), buffers1.end());
    for (size_t l = 0; l < from.size(); ++l) {
      if (G.parameters[l].empty() || !at::isFloatingType(from[l].scalar_type())) continue;
      const Tensor part = materialise(G.parameters[l], n, from[l].numel(), from[l].options()) * (to[l] - from[l]).reshape({1, -1});
      sum.add_(part.sum(1));
      size.add_(part.abs().sum(1));
      if (l >= weights.size()) of_buffers.add_(part.abs().sum(1));
    }
    const Tensor rounding = size * 1e-12 + at1->values.abs().max() * 1e-15;  // the values' own
    EXPECT_LE(((at1->values - at0->values - sum).abs() / rounding).max().item<double>(), 1);
    EXPECT_GT((at1->values - at0->values).abs().min().item<double>(), 0);
    if (GetParam().name.find("batch_norm") == 0 || GetParam().name == "resnet") {
      EXPECT_GT((of_buffers / size).min().item<double>(), 1e-3);
    }
  }
}

TEST_P(Norms, EqualEndsGiveTheGradient) {
  const auto at0 = evaluate(*model, weights, buffers, x);
  Reverse reverse(at0->tape, at0->tape);
  reverse.seed(at0->id, at::ones({n}, at::kDouble));
  const FactorSet G = reverse.run();
  const Tensor f = model->forward({x}, Mode::eval)[0].select(1, 1);
  // torch's backward of a norm gives its running statistics no gradient: those are compared by differences.
  const auto by_differences = [&](size_t b, int64_t k) {
    Tensors ends[2];
    for (int side = 0; side < 2; ++side) {
      ends[side] = copies(buffers);
      ends[side][b].reshape(-1)[k].add_(side == 0 ? -1e-5 : 1e-5);
    }
    return (evaluate(*model, weights, ends[1], x)->values - evaluate(*model, weights, ends[0], x)->values) / 2e-5;
  };
  for (int64_t i = 0; i < n; ++i) {
    const Tensors g = torch::autograd::grad({f[i]}, values(model->parameters()), {}, true, false, true);
    for (size_t l = 0; l < weights.size(); ++l) {
      const Tensor mine = materialise(G.parameters[l], n, weights[l].numel(), weights[l].options())[i];
      const Tensor theirs = g[l].defined() ? g[l].reshape(-1) : at::zeros_like(mine);
      EXPECT_LE((mine - theirs).abs().max().item<double>(), 1e-12 * std::max(1.0, theirs.abs().max().item<double>())) << model->parameters()[l].name;
    }
  }
  for (size_t b = 0; b < buffers.size(); ++b) {
    if (G.parameters[weights.size() + b].empty()) continue;
    const Tensor mine = materialise(G.parameters[weights.size() + b], n, buffers[b].numel(), weights[0].options());
    for (const int64_t k : {int64_t(0), mine.size(1) - 1}) EXPECT_LE((mine.select(1, k) - by_differences(b, k)).abs().max().item<double>(), 1e-8);
  }
}

INSTANTIATE_TEST_SUITE_P(Nets, Norms, ::testing::ValuesIn(nets()), net_name);

/// Without running statistics the queries would be normed by one another.
TEST(NormsOfQueries, ByTheirOwnBatchAreRefused) {
  const Net one = net("coupled", false, [](const Tensor& x, const Tensor& scale, const Tensor& shift, const Tensors&) { return at::batch_norm(x, scale, shift, {}, {}, true, 0.1, 1e-3, true); });
  at::manual_seed(1);
  const auto model = one.make();
  EXPECT_REFUSED(InvalidInput, "aten::batch_norm mixes the examples", evaluate(*model, copies(values(model->parameters())), copies(values(model->buffers())), numbers(one.inputs)));
}

}  // namespace
}  // namespace pathkernel
