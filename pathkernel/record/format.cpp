#include <pathkernel/core/error.h>
#include <pathkernel/core/hash.h>
#include <pathkernel/record/format.h>

#include <pathkernel/core/json.h>

#include <ATen/ops/empty.h>
#include <ATen/ops/empty_strided.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <charconv>
#include <cstring>

namespace pathkernel::format {
namespace {

/// Also where a dimension of size 1 hides it: kernels look at its stride as well.
bool lies_row_by_row(const Tensor& t) {
  int64_t stride = 1;
  for (int64_t d = t.dim(); d-- > 0; stride *= t.size(d))
    if (t.stride(d) != stride) return false;
  return true;
}

/// Positive strides that reach as far as the numbers do: a tensor that leaves no holes.
bool fits(const Tensor& t, const std::vector<int64_t>& strides) {
  if (static_cast<int64_t>(strides.size()) != t.dim()) return false;
  int64_t reach = 1;
  for (int64_t d = 0; d < t.dim(); ++d) {
    if (strides[d] < 1 || strides[d] > t.numel()) return false;
    reach += (t.size(d) - 1) * strides[d];
  }
  return reach == t.numel();
}

}  // namespace

std::string checkpoint_file(int64_t step) { return fmt::format("{}/step-{:08d}.safetensors", checkpoint_folder, step); }

NamedTensors flatten(const Checkpoint& checkpoint) {
  NamedTensors all;
  const auto add = [&](const char* group, const NamedTensors& tensors) {
    for (const auto& t : tensors) all.push_back({fmt::format("{}/{}", group, t.name), t.tensor.detach()});
  };
  add("parameters", checkpoint.parameters);
  add("buffers", checkpoint.buffers);
  add("optimizer", checkpoint.optimizer);
  add("average", checkpoint.average);
  return all;
}

Checkpoint unflatten(int64_t step, const NamedTensors& tensors) {
  Checkpoint checkpoint;
  checkpoint.step = step;
  for (const auto& t : tensors) {
    const size_t slash = t.name.find('/');
    const std::string group = t.name.substr(0, slash);
    NamedTensors* list = group == "parameters"  ? &checkpoint.parameters
                         : group == "buffers"   ? &checkpoint.buffers
                         : group == "optimizer" ? &checkpoint.optimizer
                         : group == "average"   ? &checkpoint.average
                                                : nullptr;
    if (!list || slash == std::string::npos)
      throw CorruptData(fmt::format("checkpoint of step {}: tensor \"{}\" is none of parameters/, buffers/, optimizer/, average/", step, t.name));
    list->push_back({t.name.substr(slash + 1), t.tensor});
  }
  return checkpoint;
}

std::string strides_of(const NamedTensors& tensors) {
  nlohmann::json strides = nlohmann::json::object();
  for (const auto& [name, t] : tensors)
    if (t.numel() > 0 && t.is_non_overlapping_and_dense() && !lies_row_by_row(t) && fits(t, t.strides().vec())) strides[name] = t.strides().vec();
  return strides.empty() ? "" : strides.dump();
}

void lay_out(NamedTensors& tensors, const std::string& strides) {
  const nlohmann::json wanted = parse_json(strides, "the strides of its tensors");
  for (auto& [name, t] : tensors) {
    if (!wanted.contains(name)) continue;
    const nlohmann::json& written = wanted[name];
    const bool numbers = written.is_array() && std::all_of(written.begin(), written.end(), [](const auto& stride) { return stride.is_number_integer(); });
    const auto given = numbers ? written.get<std::vector<int64_t>>() : std::vector<int64_t>();
    if (!fits(t, given)) throw CorruptData(fmt::format("the strides of \"{}\" ({}) are none of a tensor {}", name, written.dump(), describe(t)));
    t = at::empty_strided(t.sizes(), given, t.options()).copy_(t);
  }
}

uint64_t state_hash(const NamedTensors& parameters, const NamedTensors& buffers) {
  Tensors all = values(parameters);
  for (const auto& buffer : buffers) all.push_back(buffer.tensor);
  return hash_of(all);
}

std::string index_bytes(const Tensor& indices) {
  const Tensor plain = indices.cpu().contiguous();
  return {static_cast<const char*>(plain.const_data_ptr()), static_cast<size_t>(plain.nbytes())};
}

Tensor indices_from(const std::string& bytes, int64_t step) {
  if (bytes.empty() || bytes.size() % sizeof(int64_t) != 0)
    throw CorruptData(fmt::format("step {}: its list of examples has {} bytes, which are no int64 numbers", step, bytes.size()));
  Tensor indices = at::empty({static_cast<int64_t>(bytes.size() / sizeof(int64_t))}, at::TensorOptions().dtype(at::kLong));
  std::memcpy(indices.mutable_data_ptr(), bytes.data(), bytes.size());
  return indices;
}

uint64_t checksum(const StepRecord& record) {
  std::string bytes;
  const auto add = [&](auto number) { bytes.append(reinterpret_cast<const char*>(&number), sizeof number); };
  add(record.step);
  add(record.random_seed);
  add(record.lr + 0.0);  // SQLite keeps no sign of a zero
  add(record.loss + 0.0);
  add(record.hash);
  return hash_of_bytes(bytes + index_bytes(record.indices));
}

uint64_t checksum_of_groups(int64_t step, const std::string& groups) { return hash_of_bytes(fmt::format("{} {}", step, groups)); }

uint64_t manifest_checksum(Database& database) {
  std::string bytes;
  for (Statement rows = database.prepare("SELECT key, value FROM manifest WHERE key <> 'checksum' ORDER BY key"); rows.next();)
    bytes += fmt::format("{} {}\n", rows.text(0), rows.text(1));
  return hash_of_bytes(bytes);
}

void put(Database& database, const std::string& key, const nlohmann::json& value) {
  Statement statement = database.prepare("INSERT OR REPLACE INTO manifest VALUES(?, ?)");
  statement.bind_text(1, key).bind_text(2, value.dump()).next();
}

void seal(Database& database) { put(database, "checksum", hex(manifest_checksum(database))); }

uint64_t parse_hex(const std::string& text) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, 16);
  if (text.size() != 16 || error != std::errc() || end != text.data() + text.size())
    throw CorruptData(fmt::format("\"{}\" is no hash of sixteen hexadecimal digits", text));
  return value;
}

std::string status_name(RunStatus status) {
  switch (status) {
    case RunStatus::running: return "running";
    case RunStatus::complete: return "complete";
    case RunStatus::diverged: return "diverged";
  }
  throw InvariantViolated("status_name: no such status");
}

RunStatus parse_status(const std::string& name) {
  for (const RunStatus status : {RunStatus::running, RunStatus::complete, RunStatus::diverged})
    if (name == status_name(status)) return status;
  throw CorruptData(fmt::format("\"{}\" is no status of a recording", name));
}

}  // namespace pathkernel::format
