#include <pathkernel/core/error.h>
#include <pathkernel/kernel/classical.h>
#include <pathkernel/kernel/classical/classical_kernel.h>

#include <fmt/format.h>

namespace pathkernel {
namespace {

class LaplaceKernel : public DistanceKernel {
 public:
  LaplaceKernel(const Tensor& lengthscale, int64_t norm) : DistanceKernel("laplace", norm == 2 ? "" : "norm=1"), norm_(static_cast<double>(norm)) {
    parameters_.add("lengthscale", lengthscale, Range::positive);
  }

 protected:
  Tensor of_distance(const Tensor& r) const override { return (-r).exp(); }
  double norm() const override { return norm_; }

 private:
  double norm_;
};

}  // namespace

KernelPtr laplace_kernel(const Tensor& lengthscale, int64_t norm) {
  if (norm != 1 && norm != 2) throw InvalidInput(fmt::format("kernel laplace: norm is {}, but it is 1 or 2", norm));
  return std::make_shared<LaplaceKernel>(lengthscale, norm);
}

}  // namespace pathkernel
