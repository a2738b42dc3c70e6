#include <pathkernel/kernel/classical.h>
#include <pathkernel/kernel/classical/classical_kernel.h>

#include <ATen/ops/log1p.h>

namespace pathkernel {
namespace {

class RationalQuadraticKernel : public DistanceKernel {
 public:
  RationalQuadraticKernel(const Tensor& lengthscale, double alpha) : DistanceKernel("rq") {
    parameters_.add("lengthscale", lengthscale, Range::positive);
    parameters_.add("alpha", alpha, Range::positive);
  }

 protected:
  /// (1 + r²/2α)^{−α}, by log1p: exact for large α as well, where the kernel becomes exp(−r²/2).
  Tensor of_distance(const Tensor& r) const override {
    const Tensor alpha = parameter("alpha", r);
    return (-alpha * at::log1p(r * r / (alpha * 2))).exp();
  }
};

}  // namespace

KernelPtr rational_quadratic_kernel(const Tensor& lengthscale, double alpha) { return std::make_shared<RationalQuadraticKernel>(lengthscale, alpha); }

}  // namespace pathkernel
