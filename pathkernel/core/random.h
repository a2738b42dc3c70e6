#pragma once

#include <cstdint>

namespace pathkernel {

/// Independent streams from one seed: the seed of stream (purpose, index), by splitmix64. Used for the initial weights,
/// the shuffling of every epoch and the random operations of every step, so that any of them can be drawn again alone.
enum class Stream : uint64_t { initial_weights = 1, batch_order = 2, step = 3, sampling = 4 };
uint64_t stream_seed(uint64_t seed, Stream purpose, uint64_t index);

}  // namespace pathkernel
