#include <pathkernel/kernel/specification.h>

#include <pathkernel/core/error.h>
#include <pathkernel/core/parse_number.h>

#include <ATen/ops/scalar_tensor.h>
#include <ATen/ops/tensor.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

namespace pathkernel {
namespace {

std::vector<std::string> split(std::string_view text, char separator) {
  std::vector<std::string> parts(1);
  int depth = 0;  // inside brackets nothing separates
  for (const char c : text) {
    depth += c == '[' ? 1 : c == ']' ? -1 : 0;
    if (c == separator && depth == 0) parts.emplace_back();
    else parts.back() += c;
  }
  return parts;
}

}  // namespace

Arguments::Arguments(std::string owner, std::string_view text) : owner_(std::move(owner)) {
  if (text.empty()) return;
  for (const std::string& part : split(text, ',')) {
    const size_t equals = part.find('=');
    Argument argument = equals == std::string::npos ? Argument{"", part} : Argument{part.substr(0, equals), part.substr(equals + 1)};
    if (argument.value.empty()) throw InvalidInput(fmt::format("{}: nothing stands where a value is expected in \"{}\"", owner_, text));
    left_.push_back(std::move(argument));
  }
}

std::optional<std::string> Arguments::take(const std::string& key, bool without_key) {
  const auto named = std::find_if(left_.begin(), left_.end(), [&](const Argument& a) { return a.key == key; });
  const auto unnamed = std::find_if(left_.begin(), left_.end(), [](const Argument& a) { return a.key.empty(); });
  const auto found = named != left_.end() || !without_key ? named : unnamed;
  if (found == left_.end()) return {};
  std::string value = found->value;
  left_.erase(found);
  return value;
}

bool Arguments::word(const std::string& word) {
  known_.push_back(word);
  const auto found = std::find_if(left_.begin(), left_.end(), [&](const Argument& a) { return a.key.empty() && a.value == word; });
  if (found == left_.end()) return false;
  left_.erase(found);
  return true;
}

std::optional<std::string> Arguments::text(const std::string& key, bool without_key) {
  known_.push_back(key + "=…");
  return take(key, without_key);
}

double Arguments::to_number(const std::string& key, const std::string& text) const {
  const auto value = parse_number<double>(std::string_view(text).substr(text.starts_with('+') ? 1 : 0));
  if (value && std::isfinite(*value)) return *value;
  throw InvalidInput(fmt::format("{}: {} is \"{}\", which is no number", owner_, key, text));
}

int64_t Arguments::to_count(const std::string& key, const std::string& text) const {
  if (const auto value = parse_number<int64_t>(text); value && *value > 0) return *value;
  throw InvalidInput(fmt::format("{}: {} is \"{}\", but a positive whole number is expected", owner_, key, text));
}

std::optional<double> Arguments::number(const std::string& key, bool without_key) {
  const auto value = text(key, without_key);
  return value ? std::optional(to_number(key, *value)) : std::nullopt;
}

std::optional<int64_t> Arguments::count(const std::string& key, bool without_key) {
  const auto value = text(key, without_key);
  return value ? std::optional(to_count(key, *value)) : std::nullopt;
}

std::optional<std::vector<int64_t>> Arguments::sizes(const std::string& key, bool without_key) {
  const auto value = text(key, without_key);
  if (!value) return {};
  std::vector<int64_t> sizes;
  for (const std::string& part : split(*value, 'x')) sizes.push_back(to_count(key, part));
  return sizes;
}

std::optional<Tensor> Arguments::numbers(const std::string& key) {
  const auto value = text(key);
  if (!value) return {};
  if (!value->starts_with('[')) return at::scalar_tensor(to_number(key, *value), at::kDouble);
  if (!value->ends_with(']')) throw InvalidInput(fmt::format("{}: {} is \"{}\", where ] is missing", owner_, key, *value));
  std::vector<double> numbers;
  for (const std::string& part : split(std::string_view(*value).substr(1, value->size() - 2), ' '))
    if (!part.empty()) numbers.push_back(to_number(key, part));
  if (numbers.empty()) throw InvalidInput(fmt::format("{}: {} is an empty list", owner_, key));
  return at::tensor(numbers, at::kDouble);
}

std::vector<double> Arguments::rest() {
  known_.push_back("numbers");
  std::vector<double> numbers;
  while (const auto value = take("", false)) numbers.push_back(to_number("a value", *value));
  return numbers;
}

void Arguments::done() const {
  if (left_.empty()) return;
  const Argument& first = left_.front();
  throw InvalidInput(fmt::format("{} does not understand \"{}{}{}\"; it takes {}", owner_, first.key, first.key.empty() ? "" : "=", first.value,
                                 known_.empty() ? "nothing" : fmt::format("{}", fmt::join(known_, ", "))));
}

std::string print_number(double value) { return fmt::format("{}", value); }

std::string print_numbers(const Tensor& value) {
  const Tensor plain = value.detach().to(at::kCPU, at::kDouble).contiguous();
  if (plain.dim() == 0) return print_number(plain.item<double>());
  const double* data = plain.const_data_ptr<double>();
  return fmt::format("[{}]", fmt::join(data, data + plain.numel(), " "));
}

}  // namespace pathkernel
