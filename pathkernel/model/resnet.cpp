#include <pathkernel/core/error.h>
#include <pathkernel/model/initialiser.h>
#include <pathkernel/model/resnet.h>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/batch_norm.h>
#include <ATen/ops/conv2d.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

namespace pathkernel {
namespace {

constexpr double momentum = 0.1, eps = 1e-5;  // torch.nn.BatchNorm2d's

template <class Norm>
Tensor normed(const Tensor& x, const Norm& norm, Mode mode) {
  const bool training = mode == Mode::train;
  if (training) {
    const at::NoGradGuard no_grad;
    norm.batches.add_(1);
  }
  return at::batch_norm(x, norm.weight, norm.bias, norm.mean, norm.variance, training, momentum, eps, /*cudnn_enabled=*/true);
}

}  // namespace

/// Makes the layers in the order in which they are named.
class ResNet::Builder {
 public:
  Builder(ResNet& net, uint64_t seed, at::ScalarType dtype) : net_(net), initialiser_(seed, dtype), dtype_(dtype) {}

  Tensor convolution(const std::string& name, int64_t in, int64_t out, int64_t kernel) {
    return parameter(name + ".weight", initialiser_.weight({out, in, kernel, kernel}));
  }

  Norm norm(const std::string& name, int64_t channels) {
    const auto numbers = at::TensorOptions().dtype(dtype_);
    Norm norm;
    norm.weight = parameter(name + ".weight", at::ones({channels}, numbers).requires_grad_(true));
    norm.bias = parameter(name + ".bias", at::zeros({channels}, numbers).requires_grad_(true));
    norm.mean = buffer(name + ".running_mean", at::zeros({channels}, numbers));
    norm.variance = buffer(name + ".running_var", at::ones({channels}, numbers));
    norm.batches = buffer(name + ".num_batches_tracked", at::zeros({}, at::kLong));
    return norm;
  }

  Block block(const std::string& name, int64_t in, int64_t out, int64_t stride) {
    Block block;
    block.stride = stride;
    block.conv1 = convolution(name + ".conv1", in, out, 3);
    block.norm1 = norm(name + ".bn1", out);
    block.conv2 = convolution(name + ".conv2", out, out, 3);
    block.norm2 = norm(name + ".bn2", out);
    if (in == out && stride == 1) return block;
    block.shortcut = convolution(name + ".downsample.0", in, out, 1);
    block.shortcut_norm = norm(name + ".downsample.1", out);
    return block;
  }

  void dense(const std::string& name, int64_t in, int64_t out) {
    auto [weight, bias] = initialiser_.layer({out, in});
    net_.head_weight_ = parameter(name + ".weight", weight);
    net_.head_bias_ = parameter(name + ".bias", bias);
  }

 private:
  Tensor parameter(const std::string& name, Tensor t) { return net_.parameters_.emplace_back(name, std::move(t)).tensor; }
  Tensor buffer(const std::string& name, Tensor t) { return net_.buffers_.emplace_back(name, std::move(t)).tensor; }

  ResNet& net_;
  Initialiser initialiser_;
  at::ScalarType dtype_;
};

ResNet::ResNet(std::vector<int64_t> widths, Activation activation, uint64_t seed, at::ScalarType dtype) : widths_(std::move(widths)), activation_(activation) {
  Builder builder(*this, seed, dtype);
  stem_ = builder.convolution("conv1", widths_[0], widths_[1], 3);
  stem_norm_ = builder.norm("bn1", widths_[1]);
  for (size_t k = 1; k + 1 < widths_.size(); ++k) {
    blocks_.push_back(builder.block(fmt::format("layer{}.0", k), widths_[k > 1 ? k - 1 : 1], widths_[k], k > 1 ? 2 : 1));
  }
  builder.dense("fc", widths_[widths_.size() - 2], widths_.back());
}

Tensors ResNet::forward(const Tensors& inputs, Mode mode) {
  Tensor x = inputs.at(0);
  if (x.dim() != 4 || x.size(1) != widths_[0])
    throw InvalidInput(fmt::format("{}: layer conv1 takes images [n, {}, height, width], but the inputs are {}", specification(), widths_[0], describe(x)));
  const auto conv3 = [](const Tensor& x, const Tensor& weight, int64_t stride) { return at::conv2d(x, weight, {}, stride, /*padding=*/1); };
  x = apply(activation_, normed(conv3(x, stem_, 1), stem_norm_, mode));
  for (const Block& block : blocks_) {
    Tensor y = apply(activation_, normed(conv3(x, block.conv1, block.stride), block.norm1, mode));
    y = normed(conv3(y, block.conv2, 1), block.norm2, mode);
    const Tensor shortcut = block.shortcut.defined() ? normed(at::conv2d(x, block.shortcut, {}, block.stride), block.shortcut_norm, mode) : x;
    x = apply(activation_, y + shortcut);
  }
  return {at::linear(x.mean({2, 3}), head_weight_, head_bias_)};
}

std::string ResNet::specification() const { return fmt::format("resnet:{} {}", fmt::join(widths_, "-"), to_string(activation_)); }

}  // namespace pathkernel
