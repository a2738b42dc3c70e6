#pragma once

#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/stack.h>

namespace pathkernel {

/// Runs an operation that is faster in our own kernels than in ATen's (max pooling on a CPU), to the same bits; where autograd is on it becomes
/// part of its graph, with ATen's backward pass. Its arguments stand on the stack from `base` on, and its results take their place.
/// @return false: it is none of these, nothing was done
bool run_own(const c10::OperatorHandle& op, torch::jit::Stack* stack, size_t base);

}  // namespace pathkernel
