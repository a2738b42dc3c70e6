#pragma once

#include <pathkernel/data/dataset.h>

#include <nlohmann/json_fwd.hpp>

namespace pathkernel {

/// How a page shows inputs of a data set: as bytes of an image, as text, or as numbers.
class Looks {
 public:
  /// Images are [N, 1 or 3, height, width] or [N, height, width].
  explicit Looks(const Dataset& like);
  /// {"channels", "height", "width"}; null for other inputs.
  nlohmann::json shape(const Dataset& data) const;
  /// Adds the row's "image" (base64), "text" or "values" to an object.
  void add(nlohmann::json& to, const Dataset& data, int64_t row) const;

 private:
  bool images_;
  double low_ = 0, high_ = 1;
};

}  // namespace pathkernel
