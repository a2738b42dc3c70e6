#include <pathkernel/core/tensors.h>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <utility>

namespace pathkernel {
namespace {

/// The names Python prints, without "torch.".
const char* dtype_name(at::ScalarType dtype) {
  switch (dtype) {
    case at::kDouble: return "float64";
    case at::kFloat: return "float32";
    case at::kHalf: return "float16";
    case at::kBFloat16: return "bfloat16";
    case at::kLong: return "int64";
    case at::kInt: return "int32";
    case at::kShort: return "int16";
    case at::kChar: return "int8";
    case at::kByte: return "uint8";
    case at::kBool: return "bool";
    default: return c10::toString(dtype);
  }
}

Tensor copy(const Tensor& tensor, at::ScalarType dtype) {
  return tensor.detach().to(dtype, /*non_blocking=*/false, /*copy=*/true);
}

}  // namespace

int64_t count_numbers(const Tensors& tensors) {
  int64_t count = 0;
  for (const Tensor& tensor : tensors) count += tensor.numel();
  return count;
}

int64_t count_numbers(const NamedTensors& tensors) {
  int64_t count = 0;
  for (const NamedTensor& named : tensors) count += named.tensor.numel();
  return count;
}

Tensors values(const NamedTensors& tensors) {
  Tensors result;
  result.reserve(tensors.size());
  for (const NamedTensor& named : tensors) result.push_back(named.tensor);
  return result;
}

Tensors copies(const Tensors& tensors) {
  Tensors result;
  result.reserve(tensors.size());
  for (const Tensor& tensor : tensors) result.push_back(copy(tensor, tensor.scalar_type()));
  return result;
}

Tensors copies(const Tensors& tensors, at::ScalarType dtype) {
  Tensors result;
  result.reserve(tensors.size());
  for (const Tensor& tensor : tensors) result.push_back(copy(tensor, dtype));
  return result;
}

std::string describe(const Tensor& tensor) {
  if (!tensor.defined()) return "undefined";
  return fmt::format("{} [{}]", dtype_name(tensor.scalar_type()), fmt::join(tensor.sizes(), ", "));
}

}  // namespace pathkernel
