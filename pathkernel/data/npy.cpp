#include <pathkernel/data/npy.h>

#include <pathkernel/core/error.h>
#include <pathkernel/core/files.h>

#include <ATen/ops/empty.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <optional>
#include <string_view>

namespace pathkernel {
namespace {

static_assert(std::endian::native == std::endian::little, "data are copied as they are");

constexpr std::string_view magic = "\x93NUMPY";

struct Dtype {
  std::string_view name;
  at::ScalarType type;
  uint64_t bytes;
};
constexpr std::array dtypes = {Dtype{"<f8", at::kDouble, 8}, Dtype{"<f4", at::kFloat, 4}, Dtype{"<f2", at::kHalf, 2},
                               Dtype{"<i8", at::kLong, 8},   Dtype{"<i4", at::kInt, 4},   Dtype{"<i2", at::kShort, 2},
                               Dtype{"|i1", at::kChar, 1},   Dtype{"|u1", at::kByte, 1},  Dtype{"|b1", at::kBool, 1}};

[[noreturn]] void refuse(const std::string& path, const std::string& what) {
  throw InvalidInput(fmt::format("{} is no .npy file that can be read: {}", path, what));
}

struct Header {
  std::string descr;
  bool fortran_order = false;
  std::vector<int64_t> shape;
};

/// Reads the header, a Python literal such as {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }.
class HeaderParser {
 public:
  HeaderParser(const std::string& path, std::string_view text) : path_(path), rest_(text) {}

  Header parse() {
    Header header;
    unsigned seen = 0;
    expect('{');
    while (!accept('}')) {
      const std::string key = quoted();
      expect(':');
      if (key == "descr") header.descr = descr(), seen |= 1;
      else if (key == "fortran_order") header.fortran_order = boolean(), seen |= 2;
      else if (key == "shape") header.shape = shape(), seen |= 4;
      else fail();
      if (!accept(',') && peek() != '}') fail();
    }
    if (peek() != '\0' || seen != 7) fail();
    return header;
  }

 private:
  [[noreturn]] void fail() const {
    refuse(path_, "its header is not {'descr': …, 'fortran_order': …, 'shape': …}");
  }
  char peek() {
    while (!rest_.empty() && (rest_[0] == ' ' || rest_[0] == '\n')) rest_.remove_prefix(1);
    return rest_.empty() ? '\0' : rest_[0];
  }
  bool accept(char c) {
    if (peek() != c || rest_.empty()) return false;
    rest_.remove_prefix(1);
    return true;
  }
  void expect(char c) {
    if (!accept(c)) fail();
  }
  std::string quoted() {
    const char quote = peek();
    if (quote != '\'' && quote != '"') fail();
    const size_t end = rest_.find(quote, 1);
    if (end == std::string_view::npos) fail();
    std::string text(rest_.substr(1, end - 1));
    rest_.remove_prefix(end + 1);
    return text;
  }
  std::string descr() {
    if (peek() == '[') refuse(path_, "it holds records with several fields; save one plain array per file");
    return quoted();
  }
  bool boolean() {
    peek();
    for (const auto& [word, value] : {std::pair{std::string_view("True"), true}, {std::string_view("False"), false}}) {
      if (!rest_.starts_with(word)) continue;
      rest_.remove_prefix(word.size());
      return value;
    }
    fail();
  }
  std::vector<int64_t> shape() {
    std::vector<int64_t> sizes;
    expect('(');
    while (!accept(')')) {
      int64_t size = -1;
      peek();
      const auto [end, error] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), size);
      if (error != std::errc{} || size < 0 || sizes.size() == 64) fail();
      rest_.remove_prefix(static_cast<size_t>(end - rest_.data()));
      sizes.push_back(size);
      if (!accept(',') && peek() != ')') fail();
    }
    return sizes;
  }

  const std::string& path_;
  std::string_view rest_;
};

const Dtype& dtype_named(const std::string& path, const std::string& descr) {
  for (const Dtype& dtype : dtypes)
    if (descr == dtype.name || (dtype.bytes == 1 && descr == fmt::format("<{}", dtype.name.substr(1)))) return dtype;
  refuse(path, fmt::format("its numbers are '{}'; convert them first, for example with array.astype('<f4') or .astype('<i8')",
                           descr));
}

/// Product of the sizes times bytes; nothing when it does not fit (zeros do not hide an overflow: strides ignore them).
std::optional<uint64_t> bytes_of(const std::vector<int64_t>& shape, uint64_t element) {
  int64_t nonzero = static_cast<int64_t>(element);
  for (const int64_t size : shape)
    if (size != 0 && __builtin_mul_overflow(nonzero, size, &nonzero)) return {};
  const bool empty = std::find(shape.begin(), shape.end(), 0) != shape.end();
  return empty ? 0 : static_cast<uint64_t>(nonzero);
}

/// Where the data start, and what the header says.
std::pair<uint64_t, Header> read_header(const InputFile& file) {
  std::array<unsigned char, 12> start{};
  file.read(0, start.data(), std::min<uint64_t>(start.size(), file.size()));
  const std::string_view found(reinterpret_cast<const char*>(start.data()), magic.size());
  if (file.size() < 10 || found != magic) refuse(file.path(), "it does not start with \\x93NUMPY");
  const unsigned version = start[6];
  if (version < 1 || version > 3) refuse(file.path(), fmt::format("its format version is {}, expected 1, 2 or 3", version));
  uint64_t length = start[8] | uint64_t{start[9]} << 8;
  if (version > 1) length |= uint64_t{start[10]} << 16 | uint64_t{start[11]} << 24;
  const uint64_t header_start = version == 1 ? 10 : 12;
  if (file.size() < header_start || length > file.size() - header_start)
    refuse(file.path(), fmt::format("its header would have {} bytes, but the file has {} in all", length, file.size()));
  std::string text(length, '\0');
  file.read(header_start, text.data(), length);
  return {header_start + length, HeaderParser(file.path(), text).parse()};
}

void check_booleans(const std::string& path, const Tensor& tensor) {
  const auto* bytes = static_cast<const unsigned char*>(tensor.const_data_ptr());
  if (std::any_of(bytes, bytes + tensor.numel(), [](unsigned char byte) { return byte > 1; }))
    refuse(path, "its booleans hold bytes other than 0 and 1");
}

}  // namespace

Tensor read_npy(const std::string& path) {
  const InputFile file(path);
  auto [data_start, header] = read_header(file);
  const Dtype& dtype = dtype_named(path, header.descr);
  const std::optional<uint64_t> expected = bytes_of(header.shape, dtype.bytes);
  if (!expected || *expected != file.size() - data_start)
    refuse(path, fmt::format("its header says ({}) of {} bytes each, but {} bytes of data follow (was the file cut off?)",
                             fmt::join(header.shape, ", "), dtype.bytes, file.size() - data_start));
  if (header.fortran_order) std::reverse(header.shape.begin(), header.shape.end());
  Tensor tensor = at::empty(header.shape, at::TensorOptions(dtype.type));
  if (tensor.numel() > 0) file.read(data_start, tensor.mutable_data_ptr(), *expected);
  if (dtype.type == at::kBool) check_booleans(path, tensor);
  if (!header.fortran_order || tensor.dim() < 2) return tensor;
  std::vector<int64_t> reversed;
  for (int64_t d = tensor.dim(); d-- > 0;) reversed.push_back(d);
  return tensor.permute(reversed).contiguous();
}

std::string npy_header(at::IntArrayRef sizes, at::ScalarType type) {
  const auto dtype = std::find_if(dtypes.begin(), dtypes.end(), [&](const Dtype& d) { return d.type == type; });
  if (dtype == dtypes.end()) throw InvalidInput(fmt::format("npy: {} numbers have no counterpart in NumPy; convert them first", c10::toString(type)));
  const std::string shape = sizes.size() == 1 ? fmt::format("({},)", sizes[0]) : fmt::format("({})", fmt::join(sizes, ", "));
  std::string literal = fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': {}, }}", dtype->name, shape);
  const size_t start = magic.size() + 4;
  literal.append((64 - (start + literal.size() + 1) % 64) % 64, ' ');
  literal += '\n';
  const std::array<char, 4> version_and_length = {1, 0, static_cast<char>(literal.size() & 0xff), static_cast<char>(literal.size() >> 8)};
  return std::string(magic) + std::string(version_and_length.data(), 4) + literal;
}

void write_npy(const std::string& path, const Tensor& tensor) {
  const std::string header = npy_header(tensor.sizes(), tensor.scalar_type());
  AtomicFile file(path);
  file.write(header);
  const Tensor plain = tensor.detach().cpu().contiguous();
  file.write(plain.const_data_ptr(), plain.nbytes());
  file.commit();
}

}  // namespace pathkernel
