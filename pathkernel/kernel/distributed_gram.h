#pragma once

#include <pathkernel/kernel/gram.h>

namespace c10d {
class ProcessGroup;
}

namespace pathkernel {

/// gram_matrix() by all processes of a group (torchrun), on one machine or many: the one list of tiles is shared out among them, each on its threads, and every process gets
/// the whole matrix. All call it with the same kernel and inputs.
/// @param y  undefined for the symmetric matrix   @param group  of any backend that adds tensors where x lives (gloo, nccl)
/// @throws InvalidInput as gram_matrix(), in every process where one of them fails; and where the processes were given other inputs
Tensor gram_matrix(const Kernel& kernel, const Tensor& x, const Tensor& y, c10d::ProcessGroup& group, const GramOptions& options = {});

}  // namespace pathkernel
