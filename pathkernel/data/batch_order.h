#pragma once

#include <pathkernel/core/tensors.h>

#include <cstdint>
#include <string>
#include <vector>

namespace pathkernel {

/// Which examples each step draws: int64 [n_s] per step. Epochs are shuffled one after another, the last batch of an epoch is
/// as short as it comes out; a fractional number of epochs stops in the middle of the last one.
/// Cost: N·epochs numbers. @param seed  of the run; every epoch has a stream of its own (core/random.h)
std::vector<Tensor> shuffled_batches(int64_t examples, int64_t batch, double epochs, uint64_t seed);

/// From an .npy file, int64 [steps, batch]; −1 at the end of a row means a shorter batch. An index may stand twice in a row.
/// @throws InvalidInput naming the row whose index is outside 0..examples−1.
std::vector<Tensor> batches_from_file(const std::string& path, int64_t examples);

}  // namespace pathkernel
