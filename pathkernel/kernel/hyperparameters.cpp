#include <pathkernel/kernel/hyperparameters.h>

#include <pathkernel/core/error.h>
#include <pathkernel/kernel/specification.h>

#include <ATen/ops/isfinite.h>
#include <ATen/ops/scalar_tensor.h>
#include <fmt/format.h>

#include <algorithm>

namespace pathkernel {

void Hyperparameters::check(const Hyperparameter& p) const {
  const auto refuse = [&](const char* expected) {
    throw InvalidInput(fmt::format("{}: {} is {}, but it must be {}", owner_, p.name,
                                   p.value.defined() && p.value.dim() <= 1 && p.value.numel() <= 8 ? print_numbers(p.value) : describe(p.value),
                                   expected));
  };
  if (!p.value.defined() || p.value.scalar_type() != at::kDouble || p.value.dim() > 1 || p.value.numel() == 0)
    throw InvalidInput(fmt::format("{}: {} is {}, expected a float64 number [] or one per input dimension [d]", owner_, p.name, describe(p.value)));
  if (!at::isfinite(p.value.detach()).all().item<bool>()) refuse("finite");
  const double smallest = p.value.detach().min().item<double>();
  if (p.range == Range::positive && !(smallest > 0)) refuse("above zero");
  if (p.range == Range::not_negative && !(smallest >= 0)) refuse("zero or more");
}

void Hyperparameters::add(std::string name, const Tensor& value, Range range) {
  Hyperparameter parameter{std::move(name), value, range};
  check(parameter);
  list_.push_back(std::move(parameter));
}

void Hyperparameters::add(std::string name, double value, Range range) { add(std::move(name), at::scalar_tensor(value, at::kDouble), range); }

const Tensor& Hyperparameters::operator[](std::string_view name) const {
  const auto found = std::find_if(list_.begin(), list_.end(), [&](const Hyperparameter& p) { return p.name == name; });
  if (found == list_.end()) throw InvariantViolated(fmt::format("{} has no hyper-parameter {}", owner_, name));
  return found->value;
}

bool Hyperparameters::set(std::string_view name, const Tensor& value) {
  const auto found = std::find_if(list_.begin(), list_.end(), [&](const Hyperparameter& p) { return p.name == name; });
  if (found == list_.end()) return false;
  check({found->name, value, found->range});
  found->value = value;
  return true;
}

void append_prefixed(std::vector<Hyperparameter>& to, const std::string& prefix, const std::vector<Hyperparameter>& from) {
  for (const Hyperparameter& p : from) to.push_back({prefix + "." + p.name, p.value, p.range});
}

std::string without_prefix(const std::string& prefix, const std::string& name) {
  return name.starts_with(prefix + ".") ? name.substr(prefix.size() + 1) : std::string();
}

}  // namespace pathkernel
