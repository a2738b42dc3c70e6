#include <pathkernel/core/error.h>
#include <pathkernel/core/folder_lock.h>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace pathkernel {

FolderLock::FolderLock(const std::string& folder, const std::string& writing) : folder_(folder) {
  descriptor_ = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor_ < 0) throw InvalidInput(fmt::format("{}: cannot be opened ({})", folder, std::strerror(errno)));
  if (::flock(descriptor_, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK) return;
  ::close(descriptor_);
  throw InvalidInput(fmt::format("{}: another process is {} here; wait until it has finished, or stop it", folder, writing));
}

FolderLock::~FolderLock() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

FolderLock::FolderLock(FolderLock&& other) noexcept : folder_(std::move(other.folder_)), descriptor_(std::exchange(other.descriptor_, -1)) {}

}  // namespace pathkernel
