#include "readers.h"

#include <pathkernel/core/error.h>
#include <pathkernel/core/json.h>
#include <pathkernel/data/idx.h>
#include <pathkernel/data/npy.h>
#include <pathkernel/data/safetensors.h>
#include <pathkernel/data/table.h>
#include <pathkernel/explain/ledger_file.h>
#include <pathkernel/record/format.h>

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <stdexcept>
#include <string>

namespace pathkernel::fuzz {
namespace {

/// A file in memory: thousands of them are read in a second.
class MemoryFile {
 public:
  MemoryFile() : descriptor_(::memfd_create("fuzz", MFD_CLOEXEC)), path_("/proc/self/fd/" + std::to_string(descriptor_)) {}
  const std::string& path() const { return path_; }
  void set(std::string_view bytes) const {
    if (::ftruncate(descriptor_, 0) != 0 || ::pwrite(descriptor_, bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size()))
      throw std::runtime_error("the file in memory cannot be written");
  }

 private:
  int descriptor_;
  std::string path_;
};

/// What a reader returns is backed by the file, whose numbers may become double precision.
void check_backed(const Tensor& tensor, std::string_view bytes) {
  if (tensor.nbytes() > 8 * bytes.size()) throw std::logic_error("more numbers than the file holds: " + describe(tensor));
}

template <class Read>
bool accepted(Read read) {
  try {
    read();
    return true;
  } catch (const InvalidInput&) {
    return false;
  }
}

template <class Read>
bool as_file(std::string_view bytes, Read read) {
  static const MemoryFile file;
  file.set(bytes);
  return accepted([&] { read(file.path()); });
}

bool idx(std::string_view bytes) {
  return as_file(bytes, [&](const std::string& path) { check_backed(read_idx(path), bytes); });
}

bool npy(std::string_view bytes) {
  return as_file(bytes, [&](const std::string& path) { check_backed(read_npy(path), bytes); });
}

bool csv(std::string_view bytes) {
  return as_file(bytes, [&](const std::string& path) {
    const Dataset table = read_table(path, "y");
    check_backed(table.inputs, bytes);
    nlohmann::json({table.class_names, table.input_names}).dump();  // as they are written into ledgers and pages
    const Dataset again = read_table_like(path, "y", table);
    if (!again.targets.equal(table.targets)) throw std::logic_error("a table read as its own test part has other targets");
  });
}

bool safetensors(std::string_view bytes) {
  return as_file(bytes, [&](const std::string& path) {
    for (const NamedTensor& named : read_safetensors(path).tensors) check_backed(named.tensor, bytes);
  });
}

/// A folder whose two files are in memory.
class LedgerFolder {
 public:
  LedgerFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "pathkernel-fuzz-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("no folder for the ledger");
    path_ = name;
    std::filesystem::create_symlink(manifest.path(), path_ / "ledger.json");
    std::filesystem::create_symlink(tensors.path(), path_ / "ledger.safetensors");
  }
  ~LedgerFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  std::string path() const { return path_.string(); }

  MemoryFile manifest, tensors;

 private:
  std::filesystem::path path_;
};

bool ledger(std::string_view bytes) {
  static const LedgerFolder folder;
  uint32_t length = 0;
  if (bytes.size() < sizeof length) return false;
  std::memcpy(&length, bytes.data(), sizeof length);
  bytes.remove_prefix(sizeof length);
  folder.manifest.set(bytes.substr(0, length));
  folder.tensors.set(length < bytes.size() ? bytes.substr(length) : std::string_view());
  return accepted([&] { load_ledger(folder.path()); });
}

bool manifest(std::string_view bytes) {
  return accepted([&] { format::manifest_from(parse_json(std::string(bytes), "the manifest")); });
}

}  // namespace

const std::vector<Reader>& readers() {
  static const std::vector<Reader> all = {{"idx", idx}, {"npy", npy}, {"csv", csv}, {"safetensors", safetensors}, {"ledger", ledger}, {"manifest", manifest}};
  return all;
}

}  // namespace pathkernel::fuzz
