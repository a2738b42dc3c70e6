#pragma once

#include <pathkernel/core/tensors.h>

#include <ATen/core/Generator.h>

#include <utility>
#include <vector>

namespace pathkernel {

/// Where torch's default generators stand: the CPU's, and that of the device that is computed on.
class GeneratorStates {
 public:
  static GeneratorStates now(at::Device device);
  void restore() const;

 private:
  std::vector<std::pair<at::Generator, Tensor>> states_;
};

}  // namespace pathkernel
