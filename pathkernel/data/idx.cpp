#include <pathkernel/data/idx.h>

#include <pathkernel/core/error.h>
#include <pathkernel/core/files.h>

#include <ATen/ops/empty.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>

namespace pathkernel {
namespace {

struct IdxType {
  at::ScalarType type;
  uint64_t bytes;
};

/// bytes = 0 for a code that is none.
IdxType type_of(unsigned char code) {
  switch (code) {
    case 0x08: return {at::kByte, 1};
    case 0x09: return {at::kChar, 1};
    case 0x0B: return {at::kShort, 2};
    case 0x0C: return {at::kInt, 4};
    case 0x0D: return {at::kFloat, 4};
    case 0x0E: return {at::kDouble, 8};
    default: return {at::kByte, 0};
  }
}

[[noreturn]] void refuse_start(const InputFile& file, const std::array<unsigned char, 4>& start) {
  const bool gzip = start[0] == 0x1f && start[1] == 0x8b;
  throw InvalidInput(fmt::format("{} is no idx file: it starts with the bytes {:02x}, expected 00 00, a type and the number of "
                                 "dimensions{}", file.path(), fmt::join(start, " "),
                                 gzip ? ". It is compressed: unpack it with gunzip" : ""));
}

void big_to_little_endian(void* data, uint64_t count, uint64_t bytes) {
  auto* element = static_cast<unsigned char*>(data);
  for (uint64_t i = 0; i < count; ++i, element += bytes) std::reverse(element, element + bytes);
}

}  // namespace

Tensor read_idx(const std::string& path) {
  const InputFile file(path);
  std::array<unsigned char, 4> start{};
  file.read(0, start.data(), std::min<uint64_t>(start.size(), file.size()));
  const IdxType type = type_of(start[2]);
  const uint64_t dimensions = start[3];
  if (file.size() < start.size() || start[0] != 0 || start[1] != 0 || type.bytes == 0 || dimensions == 0 || dimensions > 8)
    refuse_start(file, start);

  std::array<unsigned char, 4 * 8> sizes{};
  file.read(start.size(), sizes.data(), 4 * dimensions);
  const uint64_t data_start = start.size() + 4 * dimensions;
  std::vector<int64_t> shape;
  int64_t expected = static_cast<int64_t>(type.bytes);
  bool too_large = false, empty = false;
  for (uint64_t d = 0; d < dimensions; ++d) {
    const unsigned char* s = &sizes[4 * d];
    shape.push_back(int64_t{s[0]} << 24 | int64_t{s[1]} << 16 | int64_t{s[2]} << 8 | int64_t{s[3]});
    if (shape.back() == 0) empty = true;
    else too_large |= __builtin_mul_overflow(expected, shape.back(), &expected);
  }
  if (empty) expected = 0;
  if (too_large || static_cast<uint64_t>(expected) != file.size() - data_start)
    throw InvalidInput(fmt::format("{}: the header says [{}] of {} bytes each, but {} bytes of data follow (was the file cut off?)",
                                   path, fmt::join(shape, ", "), type.bytes, file.size() - data_start));
  Tensor tensor = at::empty(shape, at::TensorOptions(type.type));
  if (empty) return tensor;
  file.read(data_start, tensor.mutable_data_ptr(), static_cast<uint64_t>(expected));
  if (type.bytes > 1) big_to_little_endian(tensor.mutable_data_ptr(), static_cast<uint64_t>(tensor.numel()), type.bytes);
  return tensor;
}

}  // namespace pathkernel
