#pragma once

#include <c10/core/ScalarType.h>

#include <string>

namespace pathkernel {

/// "float" and "double", as the command line and manifests say it. @throws InvalidInput for another name.
at::ScalarType parse_dtype(const std::string& name);
/// @throws InvalidInput for another dtype.
std::string dtype_name(at::ScalarType dtype);

}  // namespace pathkernel
