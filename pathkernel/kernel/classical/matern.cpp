#include <pathkernel/core/error.h>
#include <pathkernel/kernel/classical.h>
#include <pathkernel/kernel/classical/classical_kernel.h>
#include <pathkernel/kernel/specification.h>

#include <fmt/format.h>

#include <cmath>

namespace pathkernel {
namespace {

class MaternKernel : public DistanceKernel {
 public:
  MaternKernel(double nu, const Tensor& lengthscale) : DistanceKernel("matern", "nu=" + print_number(nu)), nu_(nu) {
    parameters_.add("lengthscale", lengthscale, Range::positive);
  }

 protected:
  Tensor of_distance(const Tensor& r) const override {
    if (nu_ == 0.5) return (-r).exp();
    const Tensor t = r * std::sqrt(2 * nu_);
    const Tensor decay = (-t).exp();
    return (nu_ == 1.5 ? t + 1 : t + 1 + t * t / 3) * decay;
  }

 private:
  double nu_;
};

}  // namespace

KernelPtr matern_kernel(double nu, const Tensor& lengthscale) {
  if (nu != 0.5 && nu != 1.5 && nu != 2.5)
    throw InvalidInput(fmt::format("kernel matern: nu is {}, but it is 0.5, 1.5 or 2.5 (for nu towards infinity use rbf)", nu));
  return std::make_shared<MaternKernel>(nu, lengthscale);
}

}  // namespace pathkernel
