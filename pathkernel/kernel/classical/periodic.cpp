#include <pathkernel/kernel/classical.h>
#include <pathkernel/kernel/classical/classical_kernel.h>

#include <ATen/ops/cat.h>

#include <numbers>

namespace pathkernel {
namespace {

/// Every coordinate is wound on a circle: ‖(cos u, sin u) − (cos v, sin v)‖² = 4 sin²((u − v)/2), so that with u = 2πx/p the kernel is
/// exp(−r²/2) of the distance there.
class PeriodicKernel : public DistanceKernel {
 public:
  PeriodicKernel(const Tensor& lengthscale, const Tensor& period) : DistanceKernel("periodic") {
    parameters_.add("lengthscale", lengthscale, Range::positive);
    parameters_.add("period", period, Range::positive);
  }

 protected:
  Tensor embed(const Tensor& x) const override {
    const Tensor u = x * (2 * std::numbers::pi) / parameter("period", x), lengthscale = parameter("lengthscale", x);
    return at::cat({u.cos() / lengthscale, u.sin() / lengthscale}, 1);
  }
  Tensor of_distance(const Tensor& r) const override { return (r * r * -0.5).exp(); }
};

}  // namespace

KernelPtr periodic_kernel(const Tensor& lengthscale, const Tensor& period) { return std::make_shared<PeriodicKernel>(lengthscale, period); }

}  // namespace pathkernel
