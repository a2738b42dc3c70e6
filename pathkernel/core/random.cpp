#include <pathkernel/core/random.h>

namespace pathkernel {

uint64_t RandomStream::next() {
  uint64_t z = (state_ += 0x9e3779b97f4a7c15u);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

uint64_t RandomStream::below(uint64_t bound) {
  __extension__ using Wide = unsigned __int128;
  const uint64_t smallest_fair = -bound % bound;  // 2^64 mod bound
  for (;;) {
    const Wide product = static_cast<Wide>(next()) * bound;
    if (static_cast<uint64_t>(product) >= smallest_fair) return static_cast<uint64_t>(product >> 64);
  }
}

uint64_t stream_seed(uint64_t seed, Stream purpose, uint64_t index) {
  const uint64_t of_seed = RandomStream(seed).next();
  const uint64_t of_purpose = RandomStream(of_seed + static_cast<uint64_t>(purpose)).next();
  return RandomStream(of_purpose + index).next();
}

}  // namespace pathkernel
