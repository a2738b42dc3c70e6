#include <pathkernel/core/error.h>
#include <pathkernel/model/architectures.h>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

namespace pathkernel {
namespace {

std::string message_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const InvalidInput& error) {
    return error.what();
  }
  return "no InvalidInput";
}

TEST(Architectures, LeNetHasItsWeightsAndShapes) {
  const auto model = make_model("lenet", "relu", 0, at::kFloat);
  EXPECT_EQ(count_numbers(model->parameters()), 61706);
  EXPECT_EQ(model->parameters().front().name, "conv1.weight");
  EXPECT_EQ(model->parameters().back().name, "fc3.bias");
  EXPECT_EQ(model->forward({at::zeros({2, 1, 28, 28})}, Mode::eval)[0].sizes(), at::IntArrayRef({2, 10}));
}

TEST(Architectures, ResNetHasItsWeightsBuffersAndShapes) {
  const auto model = make_model("resnet:3-4-8-5", "relu", 0, at::kFloat);
  std::vector<std::string> names;
  for (const auto& p : model->parameters()) names.push_back(p.name);
  EXPECT_EQ(names, (std::vector<std::string>{
                       "conv1.weight", "bn1.weight", "bn1.bias", "layer1.0.conv1.weight", "layer1.0.bn1.weight", "layer1.0.bn1.bias", "layer1.0.conv2.weight",
                       "layer1.0.bn2.weight", "layer1.0.bn2.bias", "layer2.0.conv1.weight", "layer2.0.bn1.weight", "layer2.0.bn1.bias", "layer2.0.conv2.weight",
                       "layer2.0.bn2.weight", "layer2.0.bn2.bias", "layer2.0.downsample.0.weight", "layer2.0.downsample.1.weight", "layer2.0.downsample.1.bias",
                       "fc.weight", "fc.bias"}));
  ASSERT_EQ(model->buffers().size(), 18u);
  EXPECT_EQ(model->buffers()[17].name, "layer2.0.downsample.1.num_batches_tracked");
  EXPECT_EQ(model->buffers()[17].tensor.scalar_type(), at::kLong);
  const Tensor x = at::randn({2, 3, 9, 7});
  EXPECT_EQ(model->forward({x}, Mode::eval)[0].sizes(), at::IntArrayRef({2, 5}));
  EXPECT_EQ(model->buffers()[2].tensor.item<int64_t>(), 0);
  EXPECT_EQ(model->buffers()[0].tensor.abs().max().item<double>(), 0);
  model->forward({x}, Mode::train);
  model->forward({x}, Mode::train);
  EXPECT_EQ(model->buffers()[2].tensor.item<int64_t>(), 2);
  EXPECT_GT(model->buffers()[0].tensor.abs().max().item<double>(), 0);
  EXPECT_NE(message_of([&] { model->forward({at::zeros({2, 1, 9, 9})}, Mode::eval); }).find("layer conv1 takes images [n, 3, height, width]"), std::string::npos);
}

TEST(Architectures, InitialWeightsAreUniformWithinTheFanInBound) {
  const auto model = make_model("mlp:400-300-10", "relu", 1, at::kDouble);
  const Tensor w = model->parameters()[0].tensor;
  EXPECT_LE(w.abs().max().item<double>(), 0.05);
  EXPECT_GT(w.abs().max().item<double>(), 0.0499);
  EXPECT_NEAR(w.var().item<double>(), 0.05 * 0.05 / 3, 2e-5);
  EXPECT_TRUE(w.is_leaf() && w.requires_grad());
}

TEST(Architectures, SeedDecidesTheWeights) {
  const auto a = make_model("mlp:4-3", "relu", 1, at::kFloat), b = make_model("mlp:4-3", "relu", 1, at::kFloat);
  const auto c = make_model("mlp:4-3", "relu", 2, at::kFloat);
  EXPECT_TRUE(at::equal(a->parameters()[0].tensor, b->parameters()[0].tensor));
  EXPECT_FALSE(at::equal(a->parameters()[0].tensor, c->parameters()[0].tensor));
}

TEST(Architectures, AreRebuiltFromTheirSpecification) {
  for (const std::string name : {"mlp:7-5-3", "lenet", "resnet:1-4-3-2"})
    for (const std::string activation : {"relu", "tanh", "gelu", "silu"}) {
      const auto model = make_model(name, activation, 5, at::kDouble);
      const auto again = make_model(model->specification(), at::kDouble);
      EXPECT_EQ(again->specification(), model->specification());
      again->bind_parameters(copies(values(model->parameters())));
      const Tensor x = name == "mlp:7-5-3" ? at::randn({2, 7}, at::kDouble) : at::randn({2, 1, 28, 28}, at::kDouble);
      EXPECT_TRUE(at::equal(model->forward({x}, Mode::eval)[0], again->forward({x}, Mode::eval)[0]));
    }
}

TEST(Architectures, NameWhatTheyDoNotUnderstand) {
  EXPECT_NE(message_of([] { make_model("resnet", "relu", 0, at::kFloat); }).find("resnet"), std::string::npos);
  EXPECT_NE(message_of([] { make_model("mlp:10-x-3", "relu", 0, at::kFloat); }).find("\"x\""), std::string::npos);
  EXPECT_NE(message_of([] { make_model("mlp:10", "relu", 0, at::kFloat); }).find("two widths"), std::string::npos);
  EXPECT_NE(message_of([] { make_model("resnet:1-8", "relu", 0, at::kFloat); }).find("three widths"), std::string::npos);
  EXPECT_NE(message_of([] { make_model("resnet:1-0-8", "relu", 0, at::kFloat); }).find("\"0\" is no layer width; write positive whole numbers, e.g. resnet:"), std::string::npos);
  EXPECT_NE(message_of([] { make_model("mlp:10--3", "relu", 0, at::kFloat); }).find("\"\""), std::string::npos);
  EXPECT_NE(message_of([] { make_model("lenet", "swish", 0, at::kFloat); }).find("swish"), std::string::npos);
}

TEST(Architectures, CheckFitsNamesTheLayer) {
  const auto mlp = make_model("mlp:100-10", "relu", 0, at::kFloat);
  EXPECT_NE(message_of([&] { check_fits(*mlp, at::zeros({3, 1, 28, 28}), 10); }).find("layer fc1 takes 100"), std::string::npos);
  const auto small = make_model("mlp:784-5", "relu", 0, at::kFloat);
  EXPECT_NE(message_of([&] { check_fits(*small, at::zeros({3, 1, 28, 28}), 10); }).find("last layer gives 5"), std::string::npos);
  const auto lenet = make_model("lenet", "relu", 0, at::kDouble);
  EXPECT_NE(message_of([&] { check_fits(*lenet, at::zeros({3, 64}), 10); }).find("layer conv1"), std::string::npos);
  EXPECT_NO_THROW(check_fits(*lenet, at::zeros({3, 1, 28, 28}, at::kFloat), 10));
  const auto resnet = make_model("resnet:1-4-10", "relu", 0, at::kDouble);
  EXPECT_NE(message_of([&] { check_fits(*resnet, at::zeros({3, 784}), 10); }).find("layer conv1"), std::string::npos);
  EXPECT_NO_THROW(check_fits(*resnet, at::zeros({3, 1, 8, 8}, at::kFloat), 10));
}

TEST(Model, BindingLeavesTheFormerStorageAlone) {
  const auto model = make_model("mlp:4-3", "relu", 0, at::kFloat);
  const Tensor live = model->parameters()[0].tensor;
  const Tensor former = live.detach();
  const Tensor kept = former.clone();
  Tensors bound = copies(values(model->parameters()));
  model->bind_parameters(bound);
  bound[0].fill_(2);
  EXPECT_TRUE(at::equal(former, kept));
  EXPECT_TRUE(at::equal(live.detach(), at::full({3, 4}, 2.0f)));  // no copy, and the same live tensor
}

TEST(Model, BindingMayChangeTheDtype) {
  const auto model = make_model("mlp:4-3", "relu", 0, at::kFloat);
  model->forward({at::ones({2, 4})}, Mode::train)[0].sum().backward();
  model->bind_parameters(copies(values(model->parameters()), at::kDouble));
  const Tensor y = model->forward({at::ones({2, 4}, at::kDouble)}, Mode::train)[0];
  EXPECT_EQ(y.scalar_type(), at::kDouble);
  y.sum().backward();
  EXPECT_EQ(model->parameters()[0].tensor.grad().scalar_type(), at::kDouble);
  EXPECT_TRUE(model->parameters()[0].tensor.is_leaf() && model->parameters()[0].tensor.requires_grad());
}

TEST(Model, BindingRefusesAnotherShapeByName) {
  const auto model = make_model("mlp:4-3", "relu", 0, at::kFloat);
  EXPECT_NE(message_of([&] { model->bind_parameters({at::ones({3, 4}), at::ones({4})}); }).find("fc1.bias"), std::string::npos);
  EXPECT_NE(message_of([&] { model->bind_parameters({at::ones({3, 4})}); }).find("2 parameters"), std::string::npos);
}

}  // namespace
}  // namespace pathkernel
