#pragma once

#include <pathkernel/core/tensors.h>

#include <ATen/ops/linalg_eigvalsh.h>
#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>

#include <vector>

namespace pathkernel::testing {

inline Tensor row(const std::vector<double>& numbers) { return at::tensor(numbers, at::kDouble); }
inline Tensor number(double value) { return at::tensor({value}, at::kDouble); }

inline double largest_difference(const Tensor& a, const Tensor& b) {
  EXPECT_EQ(a.sizes(), b.sizes());
  return (a.to(at::kDouble) - b.to(at::kDouble)).abs().max().item<double>();
}

/// Largest difference in units of the largest entry.
inline double relative_difference(const Tensor& a, const Tensor& b) {
  return largest_difference(a, b) / b.to(at::kDouble).abs().max().item<double>();
}

/// Symmetric to the last bit, and without an eigenvalue below −eps·n·(largest).
inline void expect_positive_semi_definite(const Tensor& K, double eps = 1e-14) {
  EXPECT_TRUE(K.equal(K.t()));
  const Tensor values = at::linalg_eigvalsh(K.to(at::kDouble));
  const double largest = values.max().item<double>();
  EXPECT_GE(values.min().item<double>(), -eps * static_cast<double>(K.size(0)) * largest);
}

}  // namespace pathkernel::testing
