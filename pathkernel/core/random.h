#pragma once

#include <cstdint>

namespace pathkernel {

/// Independent streams from one seed: the seed of stream (purpose, index), by splitmix64. Used for the initial weights,
/// the shuffling of every epoch and the random operations of every step, so that any of them can be drawn again alone.
enum class Stream : uint64_t { initial_weights = 1, batch_order = 2, step = 3, sampling = 4, label_flips = 5 };
uint64_t stream_seed(uint64_t seed, Stream purpose, uint64_t index);

/// Sebastiano Vigna's splitmix64: the same numbers on every machine and with every version of torch.
class RandomStream {
 public:
  explicit RandomStream(uint64_t seed) : state_(seed) {}
  /// 64 uniform bits.
  uint64_t next();
  /// Uniform in 0 … bound−1, without bias (Lemire 2019). bound ≥ 1.
  uint64_t below(uint64_t bound);

 private:
  uint64_t state_;
};

}  // namespace pathkernel
