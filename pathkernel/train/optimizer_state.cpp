#include <pathkernel/core/error.h>
#include <pathkernel/train/optimizer_state.h>

#include <ATen/ops/full_like.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace pathkernel {
namespace {

bool is_one_number(const std::string& kind) { return kind == "step" || kind == "mu_product"; }

/// A parameter has all its kinds, or none before its first update: a kind alone missing would begin anew, and silently.
void refuse_gaps(const std::vector<std::string>& kinds, const NamedTensors& parameters, const std::vector<Tensors>& tensors) {
  for (size_t i = 0; i < parameters.size(); ++i) {
    const auto kept = [&](size_t k) { return tensors[k][i].defined(); };
    size_t has = 0, lacks = 0;
    while (has < kinds.size() && !kept(has)) ++has;
    while (lacks < kinds.size() && kept(lacks)) ++lacks;
    if (has < kinds.size() && lacks < kinds.size())
      throw InvalidInput(fmt::format("OptimizerState::restore: the state of parameter \"{}\" has \"{}\" but lacks \"{}\"; expected all of {}, or none: "
                                     "take the state as the optimizer gave it", parameters[i].name, kinds[has], kinds[lacks], fmt::join(kinds, ", ")));
  }
}

}  // namespace

OptimizerState::OptimizerState(std::vector<std::string> kinds, const NamedTensors& parameters)
    : kinds_(std::move(kinds)), parameters_(parameters), tensors_(kinds_.size(), Tensors(parameters.size())) {}

size_t OptimizerState::kind_index(const std::string& kind) const {
  const auto found = std::find(kinds_.begin(), kinds_.end(), kind);
  if (found == kinds_.end()) throw InvariantViolated(fmt::format("OptimizerState: no kind of state \"{}\"", kind));
  return static_cast<size_t>(found - kinds_.begin());
}

Tensor& OptimizerState::of(const std::string& kind, size_t i) { return tensors_[kind_index(kind)].at(i); }

const Tensor& OptimizerState::of(const std::string& kind, size_t i) const { return tensors_[kind_index(kind)].at(i); }

void OptimizerState::begin(size_t i, const Tensor& w, double first) {
  for (size_t k = 0; k < kinds_.size(); ++k) {
    Tensor& tensor = tensors_[k].at(i);
    if (tensor.defined()) continue;
    if (kinds_[k] == "step") tensor = at::zeros({}, at::kLong);
    else if (kinds_[k] == "mu_product") tensor = at::ones({}, at::kFloat);
    else tensor = at::full_like(w, first).detach();
  }
}

Tensors OptimizerState::or_zeros(const std::string& kind) const {
  Tensors tensors = tensors_[kind_index(kind)];
  for (size_t i = 0; i < tensors.size(); ++i)
    if (!tensors[i].defined()) tensors[i] = at::zeros_like(parameters_[i].tensor).detach();
  return tensors;
}

int64_t OptimizerState::numbers_per_weight() const {
  return std::count_if(kinds_.begin(), kinds_.end(), [](const std::string& kind) { return !is_one_number(kind); });
}

NamedTensors OptimizerState::named() const {
  NamedTensors named;
  for (size_t k = 0; k < kinds_.size(); ++k)
    for (size_t i = 0; i < parameters_.size(); ++i)
      if (tensors_[k][i].defined()) named.push_back({kinds_[k] + "/" + parameters_[i].name, tensors_[k][i]});
  return named;
}

void OptimizerState::restore(const NamedTensors& state) {
  std::vector<Tensors> restored(kinds_.size(), Tensors(parameters_.size()));
  for (const auto& [name, tensor] : state) {
    const size_t slash = name.find('/');
    const auto kind = std::find(kinds_.begin(), kinds_.end(), name.substr(0, slash));
    const auto parameter = std::find_if(parameters_.begin(), parameters_.end(), [&](const NamedTensor& p) {
      return slash != std::string::npos && p.name == name.substr(slash + 1);
    });
    if (kind == kinds_.end() || parameter == parameters_.end())
      throw InvalidInput(fmt::format("optimizer state \"{}\" does not belong to this optimizer and model", name));
    const bool one_number = is_one_number(*kind);
    if (one_number ? tensor.dim() != 0 : tensor.sizes() != parameter->tensor.sizes())
      throw InvalidInput(fmt::format("optimizer state \"{}\" is {}, but its parameter is {}", name, describe(tensor),
                                     describe(parameter->tensor)));
    const at::Device device = one_number ? at::Device(at::kCPU) : parameter->tensor.device();
    restored[kind - kinds_.begin()][parameter - parameters_.begin()] =
        tensor.detach().to(tensor.options().device(device), /*non_blocking=*/false, /*copy=*/true);
  }
  refuse_gaps(kinds_, parameters_, restored);
  tensors_ = std::move(restored);
}

void OptimizerState::adopt(size_t i, const NamedTensors& by_kind) {
  for (const auto& [kind, tensor] : by_kind) {
    const auto found = std::find(kinds_.begin(), kinds_.end(), kind);
    if (found != kinds_.end()) tensors_[static_cast<size_t>(found - kinds_.begin())].at(i) = tensor.detach();
  }
}

}  // namespace pathkernel
