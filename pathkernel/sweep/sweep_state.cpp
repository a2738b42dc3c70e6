#include <pathkernel/sweep/sweep_state.h>

#include <ATen/ops/scalar_tensor.h>
#include <fmt/format.h>
#include <pathkernel/core/error.h>

namespace pathkernel {

void SweepState::put(const std::string& name, const Tensor& tensor) {
  if (tensor.defined()) tensors_.push_back({name, tensor});
}

void SweepState::put(const std::string& name, double number) { put(name, at::scalar_tensor(number, at::kDouble)); }

Tensor SweepState::find(const std::string& name, at::Device device) const {
  for (const NamedTensor& t : tensors_)
    if (t.name == name) return t.tensor.to(device);
  return {};
}

Tensor SweepState::at(const std::string& name, const Tensor& like) const {
  const Tensor tensor = find(name);
  if (!tensor.defined() || tensor.sizes() != like.sizes() || tensor.scalar_type() != like.scalar_type())
    throw CorruptData(fmt::format("the kept state of the sweep has '{}' {}, but {} is expected", name, describe(tensor), describe(like)));
  return tensor;
}

double SweepState::number(const std::string& name) const { return at(name, at::scalar_tensor(0., at::kDouble)).item<double>(); }

}  // namespace pathkernel
