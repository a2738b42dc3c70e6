#include <pathkernel/core/finite.h>

#include <ATen/ops/aminmax.h>
#include <ATen/ops/isfinite.h>

#include <cmath>

namespace pathkernel {

int64_t first_not_finite(const Tensor& t) {
  if (!at::isFloatingType(t.scalar_type()) || t.numel() == 0) return -1;
  const Tensor values = t.detach();
  const auto [least, most] = at::aminmax(values);  // what is no number makes these none too
  if (std::isfinite(least.item<double>()) && std::isfinite(most.item<double>())) return -1;
  return at::isfinite(values).reshape(-1).to(at::kByte).argmin().item<int64_t>();
}

int64_t first_row_not_finite(const Tensor& t) {
  const int64_t at = first_not_finite(t);
  return at < 0 || t.dim() == 0 ? at : at / (t.numel() / t.size(0));
}

}  // namespace pathkernel
