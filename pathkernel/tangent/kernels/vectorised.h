#pragma once

#include <pathkernel/core/tensors.h>

/// A plain loop compiled for wider vectors as well; the fitting one is chosen when the program starts.
#define PATHKERNEL_VECTORISED __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))

/// For the loop's body: inside the function above, so that it is compiled for those vectors too.
#define PATHKERNEL_INLINE __attribute__((always_inline)) inline

namespace pathkernel {

/// Whether this file's plain loops may be used: numbers in order, on the CPU, float32 or float64. Other tensors go through ATen.
inline bool plain_loops(const Tensor& t) {
  return t.is_cpu() && (t.scalar_type() == at::kFloat || t.scalar_type() == at::kDouble) && t.is_contiguous();
}

}  // namespace pathkernel
