#include <pathkernel/core/error.h>
#include <pathkernel/model/dtype.h>

#include <fmt/format.h>

namespace pathkernel {

at::ScalarType parse_dtype(const std::string& name) {
  if (name == "float") return at::kFloat;
  if (name == "double") return at::kDouble;
  throw InvalidInput(fmt::format("unknown dtype \"{}\": use float or double", name));
}

std::string dtype_name(at::ScalarType dtype) {
  if (dtype == at::kFloat) return "float";
  if (dtype == at::kDouble) return "double";
  throw InvalidInput(fmt::format("weights of dtype {}: only float and double are recorded", c10::toString(dtype)));
}

}  // namespace pathkernel
