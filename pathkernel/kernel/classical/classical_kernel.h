#pragma once

#include <pathkernel/kernel/kernel.h>

#include <string>

namespace pathkernel {

/// What the classical kernels share: inputs flattened to [n, d], and hyper-parameters kept by name.
class ClassicalKernel : public Kernel {
 public:
  std::vector<Hyperparameter> hyperparameters() const override { return parameters_.list(); }
  /// "name" with the hyper-parameters, and before them what cannot vary, e.g. "matern:nu=1.5,lengthscale=2".
  std::string specification() const override;
  double numbers_per_pair(const Tensor&) const override { return 4; }

 protected:
  /// @param fixed  arguments that are no hyper-parameters, as specification() prints them: "nu=1.5"
  explicit ClassicalKernel(std::string name, std::string fixed = {}) : parameters_("kernel " + name), name_(std::move(name)),
      fixed_(std::move(fixed)) {}
  /// A hyper-parameter per dimension must have as many numbers as an input.
  void check_inputs(const Tensor& x) const override;
  bool assign(const std::string& name, const Tensor& value) override { return parameters_.set(name, value); }
  /// The hyper-parameter in the dtype and on the device of x.
  Tensor parameter(const char* name, const Tensor& x) const;

  Hyperparameters parameters_;

 private:
  std::string name_, fixed_;
};

/// A function of the distance between embedded inputs.
class DistanceKernel : public ClassicalKernel {
 protected:
  using ClassicalKernel::ClassicalKernel;
  /// x [n, d] → points whose distance r counts; x/ℓ.
  virtual Tensor embed(const Tensor& x) const;
  virtual Tensor of_distance(const Tensor& r) const = 0;
  virtual double norm() const { return 2; }

  Tensor rectangular(const Tensor& x, const Tensor& y) const override;
  Tensor symmetric(const Tensor& x) const override;
  Tensor diagonal_entries(const Tensor& x) const override;  ///< ones
};

}  // namespace pathkernel
