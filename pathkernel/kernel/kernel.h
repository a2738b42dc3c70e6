#pragma once

#include <pathkernel/core/tensors.h>
#include <pathkernel/kernel/hyperparameters.h>

#include <memory>
#include <string>
#include <vector>

namespace pathkernel {

/// A positive semi-definite function of two inputs.
///
/// Inputs are [n, ...], float32 or float64, the first dimension the example; results have their dtype and device. Everything is made of
/// differentiable ATen operations: gradients flow to the hyper-parameters and to the inputs wherever autograd is on.
/// These calls compute in one piece. For large matrices there is gram.h: tiles, threads, a memory budget, files.
class Kernel {
 public:
  virtual ~Kernel() = default;

  /// K(x_i, y_j), [n, m].
  /// @throws InvalidInput when the inputs do not fit the kernel or each other, or hold NaN or infinite numbers
  Tensor gram(const Tensor& x, const Tensor& y) const;
  /// K(x_i, x_j), [n, n]: exactly symmetric, with the diagonal that diagonal() gives to rounding (angles of zero are exactly zero there).
  Tensor gram(const Tensor& x) const;
  /// K(x_i, x_i), [n].
  Tensor diagonal(const Tensor& x) const;
  /// What these three check first. @param y  may be undefined
  void check(const Tensor& x, const Tensor& y = {}) const;

  /// Text that parse_kernel() reads back as the same kernel with the present hyper-parameters, e.g. "0.5*rbf:1.5 + linear".
  virtual std::string specification() const = 0;

  virtual std::vector<Hyperparameter> hyperparameters() const = 0;
  /// The kernel computes with this very tensor from now on (see Hyperparameters).
  /// @throws InvalidInput when there is none of this name (with those there are), or the value is not allowed
  void set_hyperparameter(const std::string& name, const Tensor& value);

  /// For a kernel that is itself a Monte-Carlo estimate: the same with other random numbers, for error bars. Null when it is exact.
  virtual std::shared_ptr<Kernel> redrawn(uint64_t draw) const;

  /// Numbers held at once for every pair of inputs like x while a Gram matrix is computed; tiles are cut so that they fit the memory.
  virtual double numbers_per_pair(const Tensor& x) const;

 protected:
  virtual Tensor rectangular(const Tensor& x, const Tensor& y) const = 0;
  /// Only one of each two mirrored entries is used.
  virtual Tensor symmetric(const Tensor& x) const = 0;
  virtual Tensor diagonal_entries(const Tensor& x) const = 0;
  virtual void check_inputs(const Tensor& x) const;
  virtual bool assign(const std::string& name, const Tensor& value) = 0;

  friend class CombinedKernel;  // they pass on what they are asked
  friend class ScaledKernel;
};

using KernelPtr = std::shared_ptr<Kernel>;

/// Reads
///     sum     = product { "+" product }
///     product = factor { "*" factor }
///     factor  = number | name [":" arguments] | "(" sum ")" | "ntk(" layers ")" | "nngp(" layers ")"
/// with the kernels of classical.h and the layers of network.h, e.g. "0.5*rbf:lengthscale=[1 2] + linear", "ntk(dense relu dense)". A number
/// scales a product; alone it is a constant kernel.
/// @throws InvalidInput saying where, what was found and what is known
KernelPtr parse_kernel(const std::string& text);

/// Names of all kernels that parse_kernel() knows.
std::vector<std::string> kernel_names();

}  // namespace pathkernel
