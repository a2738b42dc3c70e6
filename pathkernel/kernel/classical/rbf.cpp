#include <pathkernel/kernel/classical.h>
#include <pathkernel/kernel/classical/classical_kernel.h>

namespace pathkernel {
namespace {

class RbfKernel : public DistanceKernel {
 public:
  explicit RbfKernel(const Tensor& lengthscale) : DistanceKernel("rbf") { parameters_.add("lengthscale", lengthscale, Range::positive); }

 protected:
  Tensor of_distance(const Tensor& r) const override { return (r * r * -0.5).exp(); }
};

}  // namespace

KernelPtr rbf_kernel(const Tensor& lengthscale) { return std::make_shared<RbfKernel>(lengthscale); }

}  // namespace pathkernel
