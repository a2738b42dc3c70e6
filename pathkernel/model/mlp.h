#pragma once

#include <pathkernel/model/activation.h>
#include <pathkernel/model/model.h>

#include <vector>

namespace pathkernel {

/// Dense layers fc1, fc2, … with an activation between them: widths d_0-d_1-…-d_L, inputs [n, ...] flattened to [n, d_0],
/// outputs [n, d_L].
class Mlp : public Model {
 public:
  Mlp(std::vector<int64_t> widths, Activation activation, uint64_t seed, at::ScalarType dtype);

  NamedTensors parameters() const override { return parameters_; }
  NamedTensors buffers() const override { return {}; }
  /// @throws InvalidInput when the inputs do not have d_0 numbers per example.
  Tensors forward(const Tensors& inputs, Mode mode) override;
  std::string specification() const override;

 private:
  std::vector<int64_t> widths_;
  Activation activation_;
  NamedTensors parameters_;  ///< fc1.weight [d_1, d_0], fc1.bias [d_1], fc2.weight, …
};

}  // namespace pathkernel
