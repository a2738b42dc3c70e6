#pragma once

#include <pathkernel/model/activation.h>
#include <pathkernel/model/model.h>

namespace pathkernel {

/// LeNet-5 (LeCun et al. 1998) in its present-day form, for images [n, 1, 28, 28]: conv1 6@5×5 pad 2, φ, max-pool 2,
/// conv2 16@5×5, φ, max-pool 2, fc1 400→120, φ, fc2 120→84, φ, fc3 84→10. 61,706 weights. Outputs [n, 10].
class LeNet : public Model {
 public:
  LeNet(Activation activation, uint64_t seed, at::ScalarType dtype);

  NamedTensors parameters() const override { return parameters_; }
  NamedTensors buffers() const override { return {}; }
  /// @throws InvalidInput when the inputs are not [n, 1, 28, 28].
  Tensors forward(const Tensors& inputs, Mode mode) override;
  std::string specification() const override;

 private:
  Activation activation_;
  NamedTensors parameters_;  ///< conv1.weight [6, 1, 5, 5], conv1.bias [6], conv2.weight, …, fc3.bias [10]
};

}  // namespace pathkernel
