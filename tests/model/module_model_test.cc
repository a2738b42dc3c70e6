#include <pathkernel/core/error.h>
#include <pathkernel/model/module_model.h>
#include <pathkernel/train/trainer.h>

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/linear.h>

namespace pathkernel {
namespace {

struct Net : torch::nn::Module {
  Net() : fc(register_module("fc", torch::nn::Linear(4, 3))), norm(register_module("norm", torch::nn::BatchNorm1d(3))) {}
  Tensors forward(const Tensors& x) { return {norm(fc(x[0]))}; }
  torch::nn::Linear fc;
  torch::nn::BatchNorm1d norm;
};

TEST(ModuleModel, ShowsAModulesParametersAndBuffers) {
  auto net = std::make_shared<Net>();
  const auto model = wrap(net, [net](const Tensors& x) { return net->forward(x); });
  ASSERT_EQ(model->parameters().size(), 4u);
  EXPECT_EQ(model->parameters()[0].name, "fc.weight");
  EXPECT_EQ(model->buffers()[0].name, "norm.running_mean");
  EXPECT_EQ(model->specification(), "");
}

TEST(ModuleModel, SetsTheModeAndTrains) {
  auto net = std::make_shared<Net>();
  const auto model = wrap(net, [net](const Tensors& x) { return net->forward(x); });
  const Batch batch{{at::randn({8, 4})}, at::randint(3, {8}), at::arange(8)};
  const Tensor mean = net->norm->running_mean.clone();
  Trainer({}, *model).step(batch, 0.1, 0);
  EXPECT_TRUE(net->is_training());
  EXPECT_FALSE(at::equal(mean, net->norm->running_mean));
  const Tensor after = net->norm->running_mean.clone();
  model->forward(batch.inputs, Mode::eval);
  EXPECT_FALSE(net->is_training());
  EXPECT_TRUE(at::equal(after, net->norm->running_mean));
}

TEST(ModuleModel, AFrozenParameterCountsAsABuffer) {
  auto net = std::make_shared<Net>();
  net->fc->weight.requires_grad_(false);
  const auto model = wrap(net, [net](const Tensors& x) { return net->forward(x); });
  EXPECT_EQ(model->parameters().size(), 3u);
  EXPECT_EQ(model->buffers()[0].name, "fc.weight");
}

}  // namespace
}  // namespace pathkernel
