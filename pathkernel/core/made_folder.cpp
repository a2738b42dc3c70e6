#include <pathkernel/core/error.h>
#include <pathkernel/core/made_folder.h>

#include <fmt/format.h>

namespace pathkernel {

namespace fs = std::filesystem;

MadeFolder::MadeFolder(const std::string& folder) {
  std::error_code error;
  for (fs::path p = fs::absolute(fs::path(folder) / "").parent_path(); !fs::exists(p, error) && p.has_relative_path(); p = p.parent_path()) made_.push_back(p);
  fs::create_directories(folder, error);
  if (error) throw InvalidInput(fmt::format("{}: cannot be made ({})", folder, error.message()));
}

MadeFolder::~MadeFolder() {
  std::error_code ignored;
  for (const fs::path& p : made_) fs::remove(p, ignored);
}

}  // namespace pathkernel
