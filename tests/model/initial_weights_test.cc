#include <pathkernel/core/error.h>
#include <pathkernel/data/safetensors.h>
#include <pathkernel/model/architectures.h>
#include <pathkernel/model/initial_weights.h>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <filesystem>

namespace pathkernel {
namespace {

class InitialWeights : public ::testing::Test {
 protected:
  std::string path = (std::filesystem::path(::testing::TempDir()) / "init.safetensors").string();
  std::unique_ptr<Model> model = make_model("mlp:4-3-2", "relu", 0, at::kFloat);
  Tensor w1 = at::randn({3, 4}), b1 = at::randn({3}), w2 = at::randn({2, 3}), b2 = at::randn({2});

  std::string message() {
    try {
      load_initial_weights(*model, path);
    } catch (const InvalidInput& error) {
      return error.what();
    }
    return "";
  }
  void expect_loaded() {
    const Tensors w = values(model->parameters());
    EXPECT_TRUE(at::equal(w[0].detach(), w1) && at::equal(w[1].detach(), b1) && at::equal(w[2].detach(), w2) && at::equal(w[3].detach(), b2));
  }
};

TEST_F(InitialWeights, MatchByName) {
  write_safetensors(path, {{"fc2.bias", b2}, {"fc2.weight", w2}, {"fc1.bias", b1}, {"fc1.weight", w1}});
  EXPECT_EQ(message(), "");
  expect_loaded();
}

TEST_F(InitialWeights, MatchTheNamesOfACheckpoint) {
  write_safetensors(path, {{"parameters/fc1.weight", w1}, {"parameters/fc1.bias", b1}, {"parameters/fc2.weight", w2},
                           {"parameters/fc2.bias", b2}, {"optimizer/momentum_buffer/fc1.weight", w1}});
  EXPECT_EQ(message(), "");
  expect_loaded();
}

TEST_F(InitialWeights, MatchByOrder) {
  write_safetensors(path, {{"w", w1}, {"x", b1}, {"y", w2}, {"z", b2}});
  EXPECT_EQ(message(), "");
  expect_loaded();
}

TEST_F(InitialWeights, MatchASequentialWhoseNamesWereSorted) {
  write_safetensors(path, {{"10.bias", b2}, {"10.weight", w2}, {"2.bias", b1}, {"2.weight", w1}});
  EXPECT_EQ(message(), "");
  expect_loaded();
}

TEST_F(InitialWeights, AreConvertedToTheModelsDtype) {
  model = make_model("mlp:4-3-2", "relu", 0, at::kDouble);
  write_safetensors(path, {{"fc1.weight", w1}, {"fc1.bias", b1}, {"fc2.weight", w2}, {"fc2.bias", b2}});
  EXPECT_EQ(message(), "");
  EXPECT_TRUE(at::equal(model->parameters()[0].tensor.detach(), w1.to(at::kDouble)));
}

TEST_F(InitialWeights, ComeWithRunningStatistics) {
  model = make_model("resnet:1-2-3", "relu", 1, at::kFloat);
  const auto other = make_model("resnet:1-2-3", "relu", 2, at::kFloat);
  other->forward({at::randn({3, 1, 5, 5})}, Mode::train);
  NamedTensors state = other->parameters();
  for (NamedTensor& p : state) p.tensor = p.tensor.detach();
  const NamedTensors buffers = other->buffers();
  write_safetensors(path, state);
  EXPECT_EQ(message(), "");
  EXPECT_TRUE(at::equal(model->parameters()[0].tensor, other->parameters()[0].tensor));
  EXPECT_EQ(model->buffers()[2].tensor.item<int64_t>(), 0);
  state.insert(state.end(), buffers.begin(), buffers.end());
  write_safetensors(path, state);
  EXPECT_EQ(message(), "");
  for (size_t b = 0; b < buffers.size(); ++b) EXPECT_TRUE(at::equal(model->buffers()[b].tensor, buffers[b].tensor)) << buffers[b].name;
}

TEST_F(InitialWeights, NameTheFirstThatDoesNotFit) {
  write_safetensors(path, {{"fc1.weight", w1}, {"fc1.bias", b1}, {"fc2.weight", at::zeros({2, 5})}, {"fc2.bias", b2}});
  EXPECT_NE(message().find("fc2.weight"), std::string::npos);
  write_safetensors(path, {{"fc1.weight", w1}, {"fc1.bias", b1}});
  EXPECT_NE(message().find("fc2.weight"), std::string::npos);
  write_safetensors(path, {{"a", w1}, {"b", b1}, {"c", at::zeros({2, 5})}, {"d", b2}});
  EXPECT_NE(message().find("\"c\""), std::string::npos);
  write_safetensors(path, {{"a", w1}});
  EXPECT_NE(message().find("1 tensors"), std::string::npos);
}

}  // namespace
}  // namespace pathkernel
