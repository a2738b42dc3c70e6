#include <pathkernel/kernel/classical/classical_kernel.h>

#include <pathkernel/core/error.h>
#include <pathkernel/kernel/classical.h>
#include <pathkernel/kernel/specification.h>

#include <ATen/ops/cdist.h>
#include <ATen/ops/ones.h>
#include <fmt/format.h>

namespace pathkernel {

Tensor unit_lengthscale() { return at::ones({}, at::kDouble); }

std::string ClassicalKernel::specification() const {
  std::string text = name_;
  char separator = ':';
  const auto append = [&](const std::string& argument) { text += std::exchange(separator, ',') + argument; };
  if (!fixed_.empty()) append(fixed_);
  for (const Hyperparameter& p : parameters_.list()) append(p.name + "=" + print_numbers(p.value));
  return text;
}

void ClassicalKernel::check_inputs(const Tensor& x) const {
  const int64_t d = x.numel() / x.size(0);
  for (const Hyperparameter& p : parameters_.list())
    if (p.value.dim() == 1 && p.value.size(0) != d)
      throw InvalidInput(fmt::format("kernel {}: {} has {} numbers, but an input has {} ({}); give one for all, or one per dimension", name_, p.name,
                                     p.value.size(0), d, describe(x)));
}

Tensor ClassicalKernel::parameter(const char* name, const Tensor& x) const { return parameters_[name].to(x.device(), x.scalar_type()); }

Tensor DistanceKernel::embed(const Tensor& x) const { return x / parameter("lengthscale", x); }

namespace {

constexpr int64_t from_differences = 2;  // cdist's mode that never goes through a matrix product, which cancels where x ≈ y

}  // namespace

Tensor DistanceKernel::rectangular(const Tensor& x, const Tensor& y) const {
  return of_distance(at::cdist(embed(x.flatten(1)), embed(y.flatten(1)), norm(), from_differences));
}

Tensor DistanceKernel::symmetric(const Tensor& x) const {
  const Tensor points = embed(x.flatten(1));
  return of_distance(at::cdist(points, points, norm(), from_differences));
}

Tensor DistanceKernel::diagonal_entries(const Tensor& x) const { return at::ones({x.size(0)}, x.options()); }

}  // namespace pathkernel
