#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace pathkernel {

/// Makes a folder with its parents. Those that were missing are removed again, where they are empty, unless keep() is called: what
/// fails at its beginning leaves nothing.
class MadeFolder {
 public:
  /// @throws InvalidInput with the system's reason.
  explicit MadeFolder(const std::string& folder);
  ~MadeFolder();
  MadeFolder(const MadeFolder&) = delete;
  MadeFolder& operator=(const MadeFolder&) = delete;

  void keep() { made_.clear(); }

 private:
  std::vector<std::filesystem::path> made_;  ///< deepest first
};

}  // namespace pathkernel
