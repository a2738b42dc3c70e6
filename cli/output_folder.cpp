#include "output_folder.h"

#include <pathkernel/core/error.h>

#include <fmt/format.h>

#include <unistd.h>

#include <filesystem>

namespace pathkernel::cli {

void check_vacant(const std::string& command, const std::string& out) {
  namespace fs = std::filesystem;
  if (fs::exists(out) && !fs::is_directory(out)) throw InvalidInput(fmt::format("{}: --out {} cannot be made (a file is there); name another folder", command, out));
  if (fs::exists(out) && !fs::is_empty(out))
    throw InvalidInput(fmt::format("{}: --out {} exists and is not empty; name another folder or remove it", command, out));
  fs::path there = fs::absolute(out);  // what is there of the way to it
  while (!fs::exists(there) && there.has_relative_path()) there = there.parent_path();
  const fs::path probe = there / fmt::format(".pathkernel-{}", ::getpid());
  std::error_code error;
  fs::create_directory(probe, error);
  if (error) throw InvalidInput(fmt::format("{}: --out {} cannot be made ({}); name another folder", command, out, error.message()));
  fs::remove(probe);
}

void check_file(const std::string& command, const std::string& output) {
  const std::filesystem::path folder = std::filesystem::absolute(output).parent_path();
  if (!std::filesystem::is_directory(folder)) throw InvalidInput(fmt::format("{}: --output {} cannot be written: there is no folder {}", command, output, folder.string()));
}

}  // namespace pathkernel::cli
