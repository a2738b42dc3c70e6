#include <pathkernel/train/weight_average.h>

#include <pathkernel/core/error.h>
#include <pathkernel/train/realised.h>

#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

namespace pathkernel {

namespace {

AverageSettings settings_of(const TrainingSettings& s) {
  if (s.ema != 0 && !s.average.rule.empty()) throw InvalidInput("average of the weights: ema and average were both given; a run keeps one of them");
  if (s.ema != 0) return {.rule = "ema", .decay = s.ema};
  return s.average;
}

}  // namespace

WeightAverage::WeightAverage(const TrainingSettings& settings, const NamedTensors& parameters)
    : settings_(settings_of(settings)), from_the_initial_(settings.ema != 0) {
  const auto& [rule, decay, start, every] = settings_;
  if (rule != "ema" && rule != "mean") throw InvalidInput(fmt::format("average of the weights: its rule must be mean or ema, but got \"{}\"", rule));
  if (rule == "ema" && !(decay > 0 && decay < 1)) throw InvalidInput(fmt::format("average of the weights: its decay must lie between 0 and 1, but got {}", decay));
  if (start < 0 || every < 1)
    throw InvalidInput(fmt::format("average of the weights: it must start at step 0 or later and be updated every step or less often, but got {} and {}", start, every));
  for (const NamedTensor& p : parameters) values_.push_back({p.name, p.tensor.detach().clone()});
}

int64_t WeightAverage::updates() const { return steps_ <= settings_.start ? 0 : (steps_ - 1 - settings_.start) / settings_.every + 1; }

void WeightAverage::update(const Tensors& parameters) {
  const at::NoGradGuard no_grad;
  const int64_t before = updates();
  if (!is_due(steps_++)) return;
  for (size_t i = 0; i < values_.size(); ++i) {
    const Tensor &mean = values_[i].tensor, w = parameters[i].detach();
    if (before == 0 && !from_the_initial_) mean.copy_(w);
    else if (settings_.rule == "mean") mean.add_((w - mean).div_(before + 1));
    else mean.lerp_(w, 1 - settings_.decay);
  }
}

double WeightAverage::share_of_new(at::ScalarType dtype) const {
  if (steps_ == 0 || !is_due(steps_ - 1)) return 0;
  if (updates() == 1 && !from_the_initial_) return 1;
  return settings_.rule == "mean" ? 1 / double(updates()) : realised_lerp(1 - settings_.decay, dtype).of_b;
}

void WeightAverage::restore(const NamedTensors& values, int64_t step) {
  if (values.size() != values_.size())
    throw InvalidInput(fmt::format("average of the weights: {} tensors were kept, but the model has {} parameters", values.size(), values_.size()));
  for (size_t i = 0; i < values.size(); ++i) {
    if (values[i].name != values_[i].name || values[i].tensor.sizes() != values_[i].tensor.sizes())
      throw InvalidInput(fmt::format("average of the weights: {} {} was kept, but the parameter is {} {}", values[i].name,
                                     describe(values[i].tensor), values_[i].name, describe(values_[i].tensor)));
    values_[i].tensor = values[i].tensor.detach().to(values_[i].tensor.device(), values[i].tensor.scalar_type(), /*non_blocking=*/false, /*copy=*/true);
  }
  steps_ = step;
}

}  // namespace pathkernel
