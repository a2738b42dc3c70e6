#include <pathkernel/core/coefficient.h>

namespace pathkernel {

Coefficient Coefficient::to(at::ScalarType dtype) const { return {number, is_diagonal() ? diagonal.to(dtype) : Tensor()}; }

Tensor Coefficient::times(const Tensor& t) const { return is_diagonal() ? diagonal.mul(t) : t.mul(number); }

}  // namespace pathkernel
