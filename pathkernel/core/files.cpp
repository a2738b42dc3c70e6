#include <pathkernel/core/files.h>

#include <pathkernel/core/bytes.h>
#include <pathkernel/core/error.h>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <limits>

namespace pathkernel {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void refuse(const std::string& doing, const std::string& path) {
  throw InvalidInput(fmt::format("cannot {} {}: {}", doing, path, std::strerror(errno)));
}

/// A name in the same folder that no other thread or process uses.
std::string temporary_name(const std::string& path) {
  static std::atomic<uint64_t> counter{0};
  return fmt::format("{}.part-{}-{}", path, ::getpid(), counter++);
}

/// The rename itself is only durable when the folder is synced as well.
void sync_folder_of(const std::string& path) {
  const fs::path parent = fs::path(path).parent_path();
  const int folder = ::open(parent.empty() ? "." : parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder < 0) return;
  ::fsync(folder);
  ::close(folder);
}

}  // namespace

InputFile::InputFile(const std::string& path) : path_(path) {
  descriptor_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor_ < 0) refuse("read", path);
  struct stat status {};
  const bool known = ::fstat(descriptor_, &status) == 0;
  if (known && S_ISREG(status.st_mode)) {
    size_ = static_cast<uint64_t>(status.st_size);
    return;
  }
  if (known) errno = S_ISDIR(status.st_mode) ? EISDIR : EINVAL;
  const int reason = errno;
  ::close(descriptor_);
  errno = reason;
  refuse("read", path);
}

InputFile::~InputFile() { ::close(descriptor_); }

void InputFile::read(uint64_t offset, void* into, uint64_t bytes) const {
  if (offset > size_ || bytes > size_ - offset)
    throw CorruptData(fmt::format("{} ends early: {} bytes from offset {} are expected, but the file has {} bytes", path_, bytes,
                                  offset, size_));
  char* to = static_cast<char*>(into);
  while (bytes > 0) {
    const ssize_t count = ::pread(descriptor_, to, std::min<uint64_t>(bytes, 1u << 30), static_cast<off_t>(offset));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) refuse("read", path_);
    if (count == 0) throw CorruptData(fmt::format("{} became shorter while it was read", path_));
    to += count;
    offset += static_cast<uint64_t>(count);
    bytes -= static_cast<uint64_t>(count);
  }
}

AtomicFile::AtomicFile(const std::string& path) : path_(path), temporary_(temporary_name(path)) {
  descriptor_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (descriptor_ < 0) refuse("write", path);
}

AtomicFile::~AtomicFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

void AtomicFile::write(const void* data, uint64_t bytes) {
  const char* from = static_cast<const char*>(data);
  while (bytes > 0) {
    const ssize_t count = ::write(descriptor_, from, std::min<uint64_t>(bytes, 1u << 30));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) refuse("write", path_);
    from += count;
    bytes -= static_cast<uint64_t>(count);
  }
}

void AtomicFile::commit() {
  if (::fsync(descriptor_) != 0) refuse("write", path_);
  const int closed = ::close(descriptor_);
  descriptor_ = -1;
  if (closed != 0) refuse("write", path_);
  rename_durably(temporary_, path_);
  temporary_.clear();
}

std::string read_file(const std::string& path) {
  const InputFile file(path);
  std::string contents(file.size(), '\0');
  file.read(0, contents.data(), contents.size());
  return contents;
}

void write_file(const std::string& path, std::string_view contents) {
  AtomicFile file(path);
  file.write(contents);
  file.commit();
}

void rename_durably(const std::string& from, const std::string& to) {
  if (::rename(from.c_str(), to.c_str()) != 0) refuse("write", to);
  sync_folder_of(to);
}

int64_t free_disk(const std::string& folder) {
  std::error_code error;
  fs::path existing = fs::absolute(folder, error);
  while (!fs::exists(existing, error) && existing.has_relative_path()) existing = existing.parent_path();
  const fs::space_info space = fs::space(existing, error);
  if (error) throw InvalidInput(fmt::format("cannot ask for the free space of {}: {}", existing.string(), error.message()));
  return static_cast<int64_t>(std::min<uintmax_t>(space.available, std::numeric_limits<int64_t>::max()));
}

void check_free_disk(const std::string& folder, int64_t bytes, const std::string& what) {
  const int64_t free = free_disk(folder);
  if (bytes <= free) return;
  throw InvalidInput(fmt::format("{} needs {} on the disk of {}, but only {} are free: make room, or choose another place", what,
                                 print_bytes(bytes), fs::absolute(folder).string(), print_bytes(free)));
}

}  // namespace pathkernel
