#include <pathkernel/explain/looks.h>

#include <pathkernel/explain/example_words.h>
#include <pathkernel/explain/html.h>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>

namespace pathkernel {
namespace {

using json = nlohmann::json;

constexpr int64_t listed_numbers = 24, listed_columns = 64;  ///< of an input that is no image: numbers without names, and with
constexpr size_t listed_letters = 3000;  ///< of a text

bool holds_images(const Dataset& d) {
  return d.inputs.dim() == 3 || (d.inputs.dim() == 4 && (d.inputs.size(1) == 1 || d.inputs.size(1) == 3));
}

}  // namespace

Looks::Looks(const Dataset& like) : images_(holds_images(like)) {
  if (!images_) return;
  low_ = std::min(0.0, like.inputs.min().item<double>());
  high_ = std::max(1.0, like.inputs.max().item<double>());
}

nlohmann::json Looks::shape(const Dataset& d) const {
  if (!images_) return nullptr;
  return {{"channels", d.inputs.dim() == 4 ? d.inputs.size(1) : 1}, {"height", d.inputs.size(-2)}, {"width", d.inputs.size(-1)}};
}

void Looks::add(nlohmann::json& to, const Dataset& d, int64_t row) const {
  if (!d.texts.empty()) {
    to["text"] = shortened(d.texts[static_cast<size_t>(row)], listed_letters);
    return;
  }
  const Tensor input = (d.raw.defined() ? d.raw : d.inputs)[row];
  if (images_) {
    const Tensor bytes = ((input.to(at::kDouble) - low_) * (255 / (high_ - low_))).round().clamp(0, 255).to(at::kByte).contiguous();
    to["image"] = base64({reinterpret_cast<const char*>(bytes.const_data_ptr<uint8_t>()), static_cast<size_t>(bytes.numel())});
    return;
  }
  const Tensor flat = input.to(at::kDouble).reshape(-1).contiguous();
  json values = json::array();
  const int64_t listed = d.input_names.empty() ? listed_numbers : listed_columns;
  for (int64_t i = 0; i < std::min(flat.numel(), listed); ++i) values.push_back(flat.const_data_ptr<double>()[i]);
  if (flat.numel() > listed) values.push_back(fmt::format("… {} numbers in all", flat.numel()));
  to["values"] = values;
}

}  // namespace pathkernel
