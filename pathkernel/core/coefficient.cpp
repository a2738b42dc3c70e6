#include <pathkernel/core/coefficient.h>

namespace pathkernel {

Coefficient Coefficient::to(at::ScalarType dtype) const { return {number, is_diagonal() ? diagonal.to(dtype) : Tensor()}; }

Tensor Coefficient::times(const Tensor& t) const { return is_diagonal() ? diagonal.mul(t) : t.mul(number); }

Coefficient Coefficient::times(const Coefficient& other) const {
  if (!is_diagonal() && !other.is_diagonal()) return {number * other.number};
  return {0, is_diagonal() ? other.times(diagonal) : times(other.diagonal)};
}

Coefficient Coefficient::plus(const Coefficient& other) const {
  if (!is_diagonal() && !other.is_diagonal()) return {number + other.number};
  if (!is_diagonal()) return {0, other.diagonal.add(number)};
  return {0, other.is_diagonal() ? diagonal.add(other.diagonal) : diagonal.add(other.number)};
}

}  // namespace pathkernel
