#pragma once

#include <pathkernel/model/activation.h>
#include <pathkernel/model/model.h>

#include <vector>

namespace pathkernel {

/// A small residual network (He et al. 2016) with batch norm (Ioffe & Szegedy 2015), for images [n, c_0, H, W]; outputs [n, K].
/// widths c_0-c_1-…-c_S-K:
///     stem      conv 3×3 c_0→c_1, norm, φ
///     stage k   x ← φ(norm(conv 3×3(φ(norm(conv 3×3(x))))) + shortcut(x)), c_{k−1}→c_k; stride 2 from the second stage on, where
///               the shortcut is norm(conv 1×1(x)); in the first it is x
///     head      mean over all places, dense c_S→K
/// Convolutions have no bias. In train mode a norm uses the batch's mean and variance, so that the examples of a batch are coupled,
/// and moves its running statistics by a tenth towards them; in eval mode it uses those.
class ResNet : public Model {
 public:
  ResNet(std::vector<int64_t> widths, Activation activation, uint64_t seed, at::ScalarType dtype);

  /// Named as torchvision names them: conv1.weight, bn1.weight, bn1.bias, layer1.0.conv1.weight, …, layer2.0.downsample.0.weight
  /// (the shortcut's convolution), layer2.0.downsample.1.weight (its norm), …, fc.weight, fc.bias.
  NamedTensors parameters() const override { return parameters_; }
  /// bn1.running_mean, bn1.running_var, bn1.num_batches_tracked (int64), layer1.0.bn1.running_mean, …
  NamedTensors buffers() const override { return buffers_; }
  /// @throws InvalidInput when the inputs are not [n, c_0, H, W].
  Tensors forward(const Tensors& inputs, Mode mode) override;
  std::string specification() const override;

 private:
  struct Norm { Tensor weight, bias, mean, variance, batches; };
  struct Block {
    Tensor conv1, conv2, shortcut;  ///< no shortcut: undefined
    Norm norm1, norm2, shortcut_norm;
    int64_t stride = 1;
  };
  class Builder;

  std::vector<int64_t> widths_;
  Activation activation_;
  NamedTensors parameters_, buffers_;
  Tensor stem_, head_weight_, head_bias_;
  Norm stem_norm_;
  std::vector<Block> blocks_;
};

}  // namespace pathkernel
