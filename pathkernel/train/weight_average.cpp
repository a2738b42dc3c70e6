#include <pathkernel/train/weight_average.h>

#include <pathkernel/core/error.h>
#include <pathkernel/train/realised.h>

#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

namespace pathkernel {

WeightAverage::WeightAverage(double decay, const NamedTensors& parameters) : decay_(decay) {
  if (!(decay > 0 && decay < 1)) throw InvalidInput(fmt::format("average of the weights: its decay must lie between 0 and 1, but got {}", decay));
  for (const NamedTensor& p : parameters) values_.push_back({p.name, p.tensor.detach().clone()});
}

void WeightAverage::update(const Tensors& parameters) {
  const at::NoGradGuard no_grad;
  for (size_t i = 0; i < values_.size(); ++i) values_[i].tensor.lerp_(parameters[i].detach(), 1 - decay_);
}

double WeightAverage::share_of_new(at::ScalarType dtype) const { return realised(1 - decay_, dtype); }

void WeightAverage::restore(const NamedTensors& values) {
  if (values.size() != values_.size())
    throw InvalidInput(fmt::format("average of the weights: {} tensors were kept, but the model has {} parameters", values.size(), values_.size()));
  for (size_t i = 0; i < values.size(); ++i) {
    if (values[i].name != values_[i].name || values[i].tensor.sizes() != values_[i].tensor.sizes())
      throw InvalidInput(fmt::format("average of the weights: {} {} was kept, but the parameter is {} {}", values[i].name,
                                     describe(values[i].tensor), values_[i].name, describe(values_[i].tensor)));
    values_[i].tensor = values[i].tensor.detach().to(values_[i].tensor.options(), /*non_blocking=*/false, /*copy=*/true);
  }
}

}  // namespace pathkernel
