#include <pathkernel/core/hash.h>

#include <pathkernel/core/files.h>

#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>
#include <memory>
#include <vector>

namespace pathkernel {
namespace {

/// A running XXH3 sum.
class Hasher {
 public:
  Hasher() : state_(XXH3_createState()) { XXH3_64bits_reset(state_.get()); }
  void add(const void* data, size_t bytes) { XXH3_64bits_update(state_.get(), data, bytes); }
  void add(int64_t number) { add(&number, sizeof number); }
  uint64_t sum() const { return XXH3_64bits_digest(state_.get()); }

 private:
  struct Free {
    void operator()(XXH3_state_t* state) const { XXH3_freeState(state); }
  };
  std::unique_ptr<XXH3_state_t, Free> state_;
};

}  // namespace

uint64_t hash_of(const Tensors& tensors) {
  Hasher hasher;
  for (const Tensor& tensor : tensors) {
    const Tensor plain = tensor.detach().cpu().contiguous();
    // dtype and sizes first, so that [2, 3] and [3, 2] of the same numbers differ
    hasher.add(static_cast<int64_t>(plain.scalar_type()));
    hasher.add(plain.dim());
    for (const int64_t size : plain.sizes()) hasher.add(size);
    if (plain.numel() > 0) hasher.add(plain.const_data_ptr(), plain.nbytes());
  }
  return hasher.sum();
}

uint64_t hash_of_bytes(std::string_view bytes) { return XXH3_64bits(bytes.data(), bytes.size()); }

uint64_t hash_of_file(const std::string& path) {
  const InputFile file(path);
  std::vector<char> piece(static_cast<size_t>(std::min<uint64_t>(file.size(), 1 << 20)));
  Hasher hasher;
  for (uint64_t offset = 0; offset < file.size(); offset += piece.size()) {
    const uint64_t count = std::min<uint64_t>(piece.size(), file.size() - offset);
    file.read(offset, piece.data(), count);
    hasher.add(piece.data(), count);
  }
  return hasher.sum();
}

std::string hex(uint64_t hash) { return fmt::format("{:016x}", hash); }

}  // namespace pathkernel
