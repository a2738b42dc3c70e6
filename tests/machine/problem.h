#pragma once

#include "../kernel/comparisons.h"

#include <pathkernel/core/error.h>
#include <pathkernel/kernel/classical.h>

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/ops/randn.h>

#include <string>

namespace pathkernel::testing {

inline Tensor normal(at::IntArrayRef sizes, uint64_t seed = 1) {
  return at::randn(sizes, at::make_generator<at::CPUGeneratorImpl>(seed), at::TensorOptions(at::kDouble));
}

/// 30 examples of four numbers, targets sin(x₀) + noise, 5 queries: as theory 8 was checked.
struct Problem {
  KernelPtr kernel = parse_kernel("rbf:1.3");
  Tensor x = normal({30, 4}), x_new = normal({5, 4}, 2), y = x.select(1, 0).sin() + 0.1 * normal({30}, 3);
  Tensor K = kernel->gram(x), K_new = kernel->gram(x_new, x), k_new = kernel->diagonal(x_new);
};

inline Tensor without(const Tensor& t, int64_t dim, int64_t i) {
  std::vector<int64_t> kept;
  for (int64_t j = 0; j < t.size(dim); ++j)
    if (j != i) kept.push_back(j);
  return t.index_select(dim, at::tensor(kept, at::kLong));
}

template <class Call>
std::string refusal(const Call& call) {
  try {
    call();
  } catch (const InvalidInput& error) {
    return error.what();
  }
  return "nothing was refused";
}

#define EXPECT_SAYS(call, words) EXPECT_PRED2([](const std::string& a, const std::string& b) { return a.find(b) != std::string::npos; }, \
                                                 ::pathkernel::testing::refusal([&] { call; }), std::string(words))

}  // namespace pathkernel::testing
