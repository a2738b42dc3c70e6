#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace pathkernel {

/// A file opened for reading at any offset. Its size is known before anything is allocated.
class InputFile {
 public:
  /// @throws InvalidInput with the system's reason when `path` is missing, a folder or not readable.
  explicit InputFile(const std::string& path);
  ~InputFile();
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;

  const std::string& path() const { return path_; }
  uint64_t size() const { return size_; }
  /// Exactly `bytes` bytes from `offset` into `into`. @throws CorruptData when the file ends before.
  void read(uint64_t offset, void* into, uint64_t bytes) const;

 private:
  std::string path_;
  int descriptor_ = -1;
  uint64_t size_ = 0;
};

/// A file that appears whole or not at all: written beside its final name, synced, renamed by commit(). Without commit() nothing
/// is left. @throws InvalidInput with the system's reason (disk full, no permission).
class AtomicFile {
 public:
  explicit AtomicFile(const std::string& path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(const void* data, uint64_t bytes);
  void write(std::string_view text) { write(text.data(), text.size()); }
  /// After this the file is at `path`, and survives a power cut.
  void commit();

 private:
  std::string path_, temporary_;
  int descriptor_ = -1;
};

/// The whole file. @throws InvalidInput as InputFile.
std::string read_file(const std::string& path);

/// Replaces `path` by a file with these contents (see AtomicFile).
void write_file(const std::string& path, std::string_view contents);

/// Free bytes on the disk that holds `folder` (or its nearest existing parent). @throws InvalidInput with the system's reason.
int64_t free_disk(const std::string& folder);

/// Gives `from` the name `to` in the same folder, durably: the new name survives a power cut. @throws InvalidInput as AtomicFile
void rename_durably(const std::string& from, const std::string& to);

/// Makes sure that `bytes` more fit on the disk that holds `folder` (or its nearest existing parent).
/// @throws InvalidInput saying how much there is, how much is needed, and for what.
void check_free_disk(const std::string& folder, int64_t bytes, const std::string& what);

}  // namespace pathkernel
