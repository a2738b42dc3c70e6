#include <pathkernel/core/random.h>
#include <pathkernel/model/initialiser.h>

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/ops/empty.h>

#include <cmath>

namespace pathkernel {
namespace {

double fan_in(at::IntArrayRef weight_sizes) {
  double product = 1;
  for (int64_t size : weight_sizes.slice(1)) product *= static_cast<double>(size);
  return product;
}

}  // namespace

Initialiser::Initialiser(uint64_t seed, at::ScalarType dtype)
    : generator_(at::make_generator<at::CPUGeneratorImpl>(stream_seed(seed, Stream::initial_weights, 0))), dtype_(dtype) {}

Initialiser::Layer Initialiser::layer(at::IntArrayRef weight_sizes) {
  Tensor drawn = weight(weight_sizes);
  return {drawn, uniform({weight_sizes[0]}, 1.0 / std::sqrt(fan_in(weight_sizes)))};
}

Tensor Initialiser::weight(at::IntArrayRef weight_sizes) {
  // torch.nn.init.kaiming_uniform_(weight, a=√5): the same roundings on the way to 1/√fan_in.
  const double gain = std::sqrt(2.0 / (1.0 + 5.0));
  return uniform(weight_sizes, std::sqrt(3.0) * (gain / std::sqrt(fan_in(weight_sizes))));
}

Tensor Initialiser::uniform(at::IntArrayRef sizes, double bound) {
  Tensor t = at::empty(sizes, at::TensorOptions().dtype(dtype_));
  t.uniform_(-bound, bound, generator_);
  return t.requires_grad_(true);
}

}  // namespace pathkernel
