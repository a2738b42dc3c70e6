// Kernels of the inner product, and the constant one.

#include <pathkernel/core/error.h>
#include <pathkernel/kernel/classical.h>
#include <pathkernel/kernel/classical/classical_kernel.h>
#include <pathkernel/kernel/specification.h>

#include <ATen/ops/matmul.h>
#include <ATen/ops/ones.h>
#include <fmt/format.h>

#include <limits>

namespace pathkernel {
namespace {

class ConstantKernel : public ClassicalKernel {
 public:
  explicit ConstantKernel(double value) : ClassicalKernel("constant") { parameters_.add("value", value, Range::not_negative); }
  std::string specification() const override { return print_numbers(parameters_["value"]); }

 protected:
  Tensor rectangular(const Tensor& x, const Tensor& y) const override { return at::ones({x.size(0), y.size(0)}, x.options()) * parameters_["value"]; }
  Tensor symmetric(const Tensor& x) const override { return rectangular(x, x); }
  Tensor diagonal_entries(const Tensor& x) const override { return at::ones({x.size(0)}, x.options()) * parameters_["value"]; }
};

class LinearKernel : public ClassicalKernel {
 public:
  explicit LinearKernel(const Tensor& lengthscale) : ClassicalKernel("linear") { parameters_.add("lengthscale", lengthscale, Range::positive); }

 protected:
  Tensor embed(const Tensor& x) const { return x.flatten(1) / parameter("lengthscale", x); }
  Tensor rectangular(const Tensor& x, const Tensor& y) const override { return at::matmul(embed(x), embed(y).t()); }
  Tensor symmetric(const Tensor& x) const override {
    const Tensor points = embed(x);
    return at::matmul(points, points.t());
  }
  Tensor diagonal_entries(const Tensor& x) const override { return embed(x).square().sum(1); }
};

class PolynomialKernel : public ClassicalKernel {
 public:
  PolynomialKernel(int64_t degree, double gamma, double coef0) : ClassicalKernel("polynomial", fmt::format("degree={}", degree)), degree_(degree) {
    parameters_.add("gamma", gamma, Range::positive);
    parameters_.add("coef0", coef0, Range::not_negative);
  }

 protected:
  Tensor of_product(const Tensor& product) const { return (product * parameters_["gamma"] + parameters_["coef0"]).pow(degree_); }
  Tensor rectangular(const Tensor& x, const Tensor& y) const override { return of_product(at::matmul(x.flatten(1), y.flatten(1).t())); }
  Tensor symmetric(const Tensor& x) const override { return rectangular(x, x); }
  Tensor diagonal_entries(const Tensor& x) const override { return of_product(x.flatten(1).square().sum(1)); }

 private:
  int64_t degree_;
};

class CosineKernel : public ClassicalKernel {
 public:
  CosineKernel() : ClassicalKernel("cosine") {}

 protected:
  static Tensor directions(const Tensor& x) {
    const Tensor flat = x.flatten(1);
    const Tensor largest = flat.abs().amax(1, /*keepdim=*/true).detach();  // so that squares neither overflow nor vanish
    const Tensor safe = flat / largest.masked_fill(largest == 0, 1);
    return safe / safe.square().sum(1, /*keepdim=*/true).clamp_min(std::numeric_limits<float>::min()).sqrt();
  }
  Tensor rectangular(const Tensor& x, const Tensor& y) const override { return at::matmul(directions(x), directions(y).t()); }
  Tensor symmetric(const Tensor& x) const override {
    const Tensor points = directions(x);
    Tensor product = at::matmul(points, points.t());
    product.diagonal().copy_(diagonal_entries(x));
    return product;
  }
  /// 1; 0 where x = 0.
  Tensor diagonal_entries(const Tensor& x) const override { return x.flatten(1).ne(0).any(1).to(x.scalar_type()); }
};

}  // namespace

KernelPtr constant_kernel(double value) { return std::make_shared<ConstantKernel>(value); }
KernelPtr linear_kernel(const Tensor& lengthscale) { return std::make_shared<LinearKernel>(lengthscale); }
KernelPtr cosine_kernel() { return std::make_shared<CosineKernel>(); }

KernelPtr polynomial_kernel(int64_t degree, double gamma, double coef0) {
  if (degree < 1) throw InvalidInput(fmt::format("kernel polynomial: degree is {}, but it must be a positive whole number", degree));
  return std::make_shared<PolynomialKernel>(degree, gamma, coef0);
}

}  // namespace pathkernel
