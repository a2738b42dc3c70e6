#include <pathkernel/core/error.h>
#include <pathkernel/data/safetensors.h>
#include <pathkernel/model/initial_weights.h>

#include <ATen/ops/empty_like.h>
#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <tuple>

namespace pathkernel {
namespace {

std::string without_room(const std::string& name) {
  for (const std::string room : {"parameters/", "buffers/"})
    if (name.starts_with(room)) return name.substr(room.size());
  return name;
}

const Tensor* find(const NamedTensors& tensors, const std::string& name) {
  for (const auto& t : tensors)
    if (t.name == name) return &t.tensor;
  return nullptr;
}

/// Compares digits by their value: "2" before "10".
std::string with_padded_numbers(const std::string& text) {
  std::string padded;
  for (size_t i = 0; i < text.size();) {
    size_t j = i;
    while (j < text.size() && std::isdigit(static_cast<unsigned char>(text[j]))) ++j;
    if (j > i) padded += fmt::format("{:0>12}", text.substr(i, j - i));
    else padded += text[j++];
    i = j;
  }
  return padded;
}

/// Module by module, weights before biases before the rest.
NamedTensors in_module_order(NamedTensors tensors) {
  const auto key = [](const NamedTensor& t) {
    const size_t dot = t.name.rfind('.');
    const std::string module = dot == std::string::npos ? "" : t.name.substr(0, dot);
    const std::string leaf = dot == std::string::npos ? t.name : t.name.substr(dot + 1);
    const int rank = leaf == "weight" ? 0 : leaf == "bias" ? 1 : 2;
    return std::tuple(with_padded_numbers(module), rank, leaf);
  };
  std::stable_sort(tensors.begin(), tensors.end(), [&](const auto& a, const auto& b) { return key(a) < key(b); });
  return tensors;
}

/// Index of the first tensor whose shape differs, or −1.
int64_t first_misfit(const NamedTensors& wanted, const NamedTensors& given) {
  for (size_t i = 0; i < wanted.size(); ++i)
    if (wanted[i].tensor.sizes() != given[i].tensor.sizes()) return static_cast<int64_t>(i);
  return -1;
}

/// A copy in the live tensor's dtype, memory order and place.
Tensor like(const Tensor& live, const Tensor& value) {
  return at::empty_like(live, live.options().requires_grad(false)).copy_(value);
}

/// The file's values for `wanted` by name; a tensor the file lacks keeps its value where `optional`.
Tensors by_name(const NamedTensors& wanted, const NamedTensors& file, const std::string& path, bool optional) {
  Tensors chosen;
  for (const auto& want : wanted) {
    const Tensor* given = find(file, want.name);
    if (!given && !optional)
      throw InvalidInput(fmt::format("{}: has no tensor \"{}\", which the model needs ({})", path, want.name, describe(want.tensor)));
    if (given && given->sizes() != want.tensor.sizes())
      throw InvalidInput(
          fmt::format("{}: tensor \"{}\" is {}, but the model's is {}", path, want.name, describe(*given), describe(want.tensor)));
    chosen.push_back(like(want.tensor, given ? *given : want.tensor));
  }
  return chosen;
}

Tensors by_order(const NamedTensors& wanted, const NamedTensors& file, const std::string& path) {
  if (file.size() != wanted.size())
    throw InvalidInput(fmt::format("{}: holds {} tensors, none named like the model's first parameter \"{}\", and the model has {} "
                                   "parameters; weights are matched by name, or by order where there are as many",
                                   path, file.size(), wanted.empty() ? "" : wanted[0].name, wanted.size()));
  NamedTensors given = file;
  if (first_misfit(wanted, given) >= 0) given = in_module_order(file);
  if (const int64_t i = first_misfit(wanted, given); i >= 0)
    throw InvalidInput(fmt::format("{}: matched by order, tensor \"{}\" is {}, but the model's {} is {}; name the tensors like the "
                                   "model's parameters, or mend the shape",
                                   path, given[i].name, describe(given[i].tensor), wanted[i].name, describe(wanted[i].tensor)));
  Tensors chosen;
  for (size_t i = 0; i < wanted.size(); ++i) chosen.push_back(like(wanted[i].tensor, given[i].tensor));
  return chosen;
}

}  // namespace

void load_initial_weights(Model& model, const std::string& path) {
  NamedTensors file = read_safetensors(path).tensors;
  for (auto& t : file) t.name = without_room(t.name);
  const NamedTensors parameters = model.parameters();
  const bool names_agree =
      std::any_of(parameters.begin(), parameters.end(), [&](const auto& p) { return find(file, p.name) != nullptr; });
  if (!names_agree) return model.bind_parameters(by_order(parameters, file, path));
  model.bind_parameters(by_name(parameters, file, path, /*optional=*/false));
  model.bind_buffers(by_name(model.buffers(), file, path, /*optional=*/true));
}

}  // namespace pathkernel
