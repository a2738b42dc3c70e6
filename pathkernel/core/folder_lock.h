#pragma once

#include <string>

namespace pathkernel {

/// The right to write into a folder, which one holder has at a time; readers are not held back. A lock of the system (flock) on the
/// folder itself: it leaves no file, goes with the folder when it is renamed, and is given back when the process dies, however it dies.
/// A file system without such locks grants it to everyone.
class FolderLock {
 public:
  /// @param writing  what the holder does, for the message: "recording", "explaining"
  /// @throws InvalidInput when the folder cannot be opened, or somebody has the lock; the message names the folder.
  FolderLock(const std::string& folder, const std::string& writing);
  ~FolderLock();
  FolderLock(FolderLock&& other) noexcept;
  FolderLock& operator=(FolderLock&&) = delete;

  const std::string& folder() const { return folder_; }

 private:
  std::string folder_;
  int descriptor_ = -1;
};

}  // namespace pathkernel
