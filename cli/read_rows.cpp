#include "read_rows.h"

#include <pathkernel/core/error.h>
#include <pathkernel/data/npy.h>

#include <fmt/format.h>

namespace pathkernel::cli {

Tensor read_rows(const std::string& path) {
  const Tensor rows = read_npy(path);
  if (rows.dim() == 0) throw InvalidInput(fmt::format("{} holds a single number, {}; a row for each example is expected: [n] or [n, ...]", path, describe(rows)));
  return rows;
}

Tensor read_inputs(const std::string& path, at::ScalarType dtype) {
  const Tensor x = read_rows(path).to(dtype);
  return x.dim() == 1 ? x.unsqueeze(1) : x;
}

}  // namespace pathkernel::cli
