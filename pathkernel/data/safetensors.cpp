#include <pathkernel/data/safetensors.h>

#include <pathkernel/core/error.h>
#include <pathkernel/core/files.h>

#include <ATen/ops/empty.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <numeric>
#include <set>

namespace pathkernel {
namespace {

static_assert(std::endian::native == std::endian::little, "the format is little endian, and data are copied as they are");

using Json = nlohmann::ordered_json;  // keeps the order of the tensors

constexpr uint64_t longest_header = 100'000'000;  // as in the reference implementation
constexpr size_t most_dimensions = 64;         // as many as torch allows
constexpr const char* metadata_key = "__metadata__";

struct Dtype {
  const char* name;
  at::ScalarType type;
  uint64_t bytes;
};
constexpr std::array dtypes = {Dtype{"F64", at::kDouble, 8}, Dtype{"F32", at::kFloat, 4},    Dtype{"F16", at::kHalf, 2},
                               Dtype{"BF16", at::kBFloat16, 2}, Dtype{"I64", at::kLong, 8},  Dtype{"I32", at::kInt, 4},
                               Dtype{"I16", at::kShort, 2},  Dtype{"I8", at::kChar, 1},      Dtype{"U8", at::kByte, 1},
                               Dtype{"BOOL", at::kBool, 1}};

/// What the header says of one tensor.
struct Entry {
  std::string name;
  const Dtype* dtype = nullptr;
  std::vector<int64_t> shape = {};
  uint64_t begin = 0, end = 0;  ///< bytes, counted from the end of the header
};

[[noreturn]] void corrupt(const InputFile& file, const std::string& what) {
  throw CorruptData(fmt::format("{} is no sound safetensors file: {}", file.path(), what));
}

/// Parses, refusing while it reads what no header has: a key that stands twice in one object (the JSON library would silently keep one
/// of them), nesting beyond {name: {shape: [number]}} and long lists, of which a small file would make a large tree.
Json parse_header(const InputFile& file, const std::string& text) {
  std::vector<std::set<std::string>> open_objects;
  size_t listed = 0;  // numbers of the array that is being read
  const auto watch = [&](int depth, Json::parse_event_t event, Json& parsed) {
    const bool object = event == Json::parse_event_t::object_start, array = event == Json::parse_event_t::array_start;
    if (depth == 0 && !object && event != Json::parse_event_t::object_end) corrupt(file, "its header is not a JSON object");
    if ((object && depth > 1) || (array && depth != 2)) corrupt(file, "its header is nested otherwise than {name: {shape: [number]}}");
    if (object) open_objects.emplace_back();
    if (array) listed = 0;
    if (depth > 2 && ++listed > most_dimensions) corrupt(file, fmt::format("a list in its header has more than {} numbers", most_dimensions));
    if (event == Json::parse_event_t::object_end) open_objects.pop_back();
    if (event == Json::parse_event_t::key) {
      const auto key = parsed.get<std::string>();
      if (!open_objects.back().insert(key).second) corrupt(file, fmt::format("the name '{}' stands twice in its header", key));
    }
    return true;
  };
  try {
    return Json::parse(text, watch);
  } catch (const Json::exception& error) {
    corrupt(file, fmt::format("its header is not JSON ({})", error.what()));
  }
}

/// An array of non-negative integers, or nothing.
bool read_integers(const Json& value, std::vector<int64_t>& into) {
  if (!value.is_array()) return false;
  for (const Json& item : value) {
    if (!item.is_number_unsigned() || item.get<uint64_t>() > static_cast<uint64_t>(INT64_MAX)) return false;
    into.push_back(item.get<int64_t>());
  }
  return true;
}

/// Bytes of a tensor; false when the product leaves int64 (zeros do not hide an overflow: strides are computed without them).
bool bytes_of(const std::vector<int64_t>& shape, uint64_t element, uint64_t& bytes) {
  int64_t nonzero = static_cast<int64_t>(element);
  for (const int64_t size : shape)
    if (size != 0 && __builtin_mul_overflow(nonzero, size, &nonzero)) return false;
  const bool empty = std::find(shape.begin(), shape.end(), 0) != shape.end();
  bytes = empty ? 0 : static_cast<uint64_t>(nonzero);
  return true;
}

Entry read_entry(const InputFile& file, const std::string& name, const Json& value, uint64_t data_bytes) {
  Entry entry;
  entry.name = name;
  if (!value.is_object() || value.size() != 3 || !value.contains("dtype") || !value.contains("shape") ||
      !value.contains("data_offsets") || !value["dtype"].is_string())
    corrupt(file, fmt::format("tensor '{}' needs exactly dtype, shape and data_offsets", name));
  const auto dtype_name = value["dtype"].get<std::string>();
  const auto dtype = std::find_if(dtypes.begin(), dtypes.end(), [&](const Dtype& d) { return dtype_name == d.name; });
  if (dtype == dtypes.end()) corrupt(file, fmt::format("tensor '{}' has the unknown dtype '{}'", name, dtype_name));
  entry.dtype = &*dtype;
  std::vector<int64_t> offsets;
  uint64_t expected = 0;
  if (!read_integers(value["shape"], entry.shape) || entry.shape.size() > most_dimensions ||
      !bytes_of(entry.shape, dtype->bytes, expected))
    corrupt(file, fmt::format("tensor '{}' has an impossible shape", name));
  if (!read_integers(value["data_offsets"], offsets) || offsets.size() != 2)
    corrupt(file, fmt::format("tensor '{}' needs two data_offsets", name));
  entry.begin = static_cast<uint64_t>(offsets[0]);
  entry.end = static_cast<uint64_t>(offsets[1]);
  if (entry.begin > entry.end || entry.end > data_bytes)
    corrupt(file, fmt::format("tensor '{}' lies at bytes {} to {}, outside the {} bytes of data (was the file cut off?)", name,
                              entry.begin, entry.end, data_bytes));
  if (entry.end - entry.begin != expected)
    corrupt(file, fmt::format("tensor '{}' has {} bytes, but its dtype and shape need {}", name, entry.end - entry.begin,
                              expected));
  return entry;
}

/// Data must follow each other without overlap or hole, up to the end of the file.
void check_layout(const InputFile& file, const std::vector<Entry>& entries, uint64_t data_bytes) {
  std::vector<const Entry*> in_place;
  for (const Entry& entry : entries) in_place.push_back(&entry);
  std::sort(in_place.begin(), in_place.end(),
            [](const Entry* a, const Entry* b) { return std::pair(a->begin, a->end) < std::pair(b->begin, b->end); });
  uint64_t position = 0;
  for (const Entry* entry : in_place) {
    if (entry->begin < position) corrupt(file, fmt::format("tensor '{}' overlaps another", entry->name));
    if (entry->begin > position) corrupt(file, fmt::format("{} unused bytes before tensor '{}'", entry->begin - position, entry->name));
    position = entry->end;
  }
  if (position != data_bytes) corrupt(file, fmt::format("{} bytes after the last tensor", data_bytes - position));
}

Tensor read_data(const InputFile& file, const Entry& entry, uint64_t data_start) {
  Tensor tensor = at::empty(entry.shape, at::TensorOptions(entry.dtype->type));
  if (tensor.numel() == 0) return tensor;
  file.read(data_start + entry.begin, tensor.mutable_data_ptr(), entry.end - entry.begin);
  if (entry.dtype->type == at::kBool) {
    const auto* bytes = static_cast<const unsigned char*>(tensor.const_data_ptr());
    if (std::any_of(bytes, bytes + tensor.numel(), [](unsigned char byte) { return byte > 1; }))
      corrupt(file, fmt::format("tensor '{}' is BOOL, but holds bytes other than 0 and 1", entry.name));
  }
  return tensor;
}

const Dtype& dtype_of(const std::string& path, const NamedTensor& named) {
  if (!named.tensor.defined()) throw InvalidInput(fmt::format("write_safetensors({}): tensor '{}' is undefined", path, named.name));
  for (const Dtype& dtype : dtypes)
    if (dtype.type == named.tensor.scalar_type()) return dtype;
  throw InvalidInput(fmt::format("write_safetensors({}): tensor '{}' is {}; convert it to one of F64 F32 F16 BF16 I64 I32 I16 I8 "
                                 "U8 BOOL", path, named.name, describe(named.tensor)));
}

std::vector<Entry> entries_of(const std::string& path, const NamedTensors& tensors) {
  std::vector<Entry> entries;
  std::set<std::string> names;
  for (const NamedTensor& named : tensors) {
    if (named.name == metadata_key || !names.insert(named.name).second)
      throw InvalidInput(fmt::format("write_safetensors({}): the name '{}' stands twice or is reserved", path, named.name));
    entries.push_back({.name = named.name, .dtype = &dtype_of(path, named), .shape = named.tensor.sizes().vec()});
  }
  return entries;
}

/// Entries by falling element size: then every tensor starts at a multiple of its own.
std::vector<size_t> layout_order(const std::vector<Entry>& entries) {
  std::vector<size_t> order(entries.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return entries[a].dtype->bytes > entries[b].dtype->bytes; });
  return order;
}

/// JSON, filled up with spaces so that the data start at a multiple of 8.
std::string header_of(const std::vector<Entry>& entries, const std::map<std::string, std::string>& metadata) {
  Json header = Json::object();
  if (!metadata.empty()) header[metadata_key] = metadata;
  for (const Entry& entry : entries)
    header[entry.name] = {{"dtype", entry.dtype->name}, {"shape", entry.shape}, {"data_offsets", {entry.begin, entry.end}}};
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');
  return text;
}

}  // namespace

bool SafetensorsFile::has(const std::string& name) const {
  return std::any_of(tensors.begin(), tensors.end(), [&](const NamedTensor& named) { return named.name == name; });
}

const Tensor& SafetensorsFile::at(const std::string& name) const {
  std::string names;
  for (const NamedTensor& named : tensors) {
    if (named.name == name) return named.tensor;
    names += (names.empty() ? "" : ", ") + named.name;
  }
  throw InvalidInput(fmt::format("the safetensors file has no tensor '{}'; it has: {}", name, names.empty() ? "none" : names));
}

void write_safetensors(const std::string& path, const NamedTensors& tensors, const std::map<std::string, std::string>& metadata) {
  std::vector<Entry> entries = entries_of(path, tensors);
  const std::vector<size_t> order = layout_order(entries);
  uint64_t position = 0;
  for (const size_t i : order) {
    entries[i].begin = position;
    position += tensors[i].tensor.numel() * entries[i].dtype->bytes;
    entries[i].end = position;
  }
  const std::string header = header_of(entries, metadata);
  const uint64_t length = header.size();
  AtomicFile file(path);
  file.write(&length, sizeof length);
  file.write(header);
  for (const size_t i : order) {
    const Tensor plain = tensors[i].tensor.detach().cpu().contiguous();
    file.write(plain.const_data_ptr(), plain.nbytes());
  }
  file.commit();
}

SafetensorsFile read_safetensors(const std::string& path) {
  const InputFile file(path);
  uint64_t length = 0;
  if (file.size() < sizeof length) corrupt(file, fmt::format("it has only {} bytes", file.size()));
  file.read(0, &length, sizeof length);
  const uint64_t most = file.size() - sizeof length;
  if (length > most || length > longest_header)
    corrupt(file, fmt::format("its header would have {} bytes, but only {} follow (was the file cut off?)", length, most));
  std::string text(length, '\0');
  file.read(sizeof length, text.data(), length);
  const Json header = parse_header(file, text);

  SafetensorsFile result;
  std::vector<Entry> entries;
  const uint64_t data_bytes = most - length;
  for (const auto& [name, value] : header.items()) {
    if (name != metadata_key) {
      entries.push_back(read_entry(file, name, value, data_bytes));
      continue;
    }
    if (!value.is_object()) corrupt(file, "its metadata are not an object");
    for (const auto& [key, text_value] : value.items()) {
      if (!text_value.is_string()) corrupt(file, fmt::format("metadata '{}' is not a text", key));
      result.metadata[key] = text_value.get<std::string>();
    }
  }
  check_layout(file, entries, data_bytes);
  for (const Entry& entry : entries) result.tensors.push_back({entry.name, read_data(file, entry, sizeof length + length)});
  return result;
}

}  // namespace pathkernel
