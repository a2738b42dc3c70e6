#include <pathkernel/core/random.h>
#include <pathkernel/model/initialiser.h>

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/ops/empty.h>

#include <cmath>

namespace pathkernel {

Initialiser::Initialiser(uint64_t seed, at::ScalarType dtype)
    : generator_(at::make_generator<at::CPUGeneratorImpl>(stream_seed(seed, Stream::initial_weights, 0))), dtype_(dtype) {}

Initialiser::Layer Initialiser::layer(at::IntArrayRef weight_sizes) {
  double fan_in = 1;
  for (int64_t size : weight_sizes.slice(1)) fan_in *= static_cast<double>(size);
  // torch.nn.init.kaiming_uniform_(weight, a=√5): the same roundings on the way to 1/√fan_in.
  const double gain = std::sqrt(2.0 / (1.0 + 5.0));
  const double weight_bound = std::sqrt(3.0) * (gain / std::sqrt(fan_in));
  Tensor weight = uniform(weight_sizes, weight_bound);
  Tensor bias = uniform({weight_sizes[0]}, 1.0 / std::sqrt(fan_in));
  return {weight, bias};
}

Tensor Initialiser::uniform(at::IntArrayRef sizes, double bound) {
  Tensor t = at::empty(sizes, at::TensorOptions().dtype(dtype_));
  t.uniform_(-bound, bound, generator_);
  return t.requires_grad_(true);
}

}  // namespace pathkernel
