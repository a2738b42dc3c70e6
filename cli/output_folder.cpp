#include "output_folder.h"

#include <pathkernel/core/error.h>

#include <fmt/format.h>

#include <unistd.h>

#include <filesystem>
#include <set>

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

void check_apart(const std::string& command, const std::vector<std::string>& outputs, const std::vector<std::string>& inputs) {
  namespace fs = std::filesystem;
  std::set<fs::path> written;
  for (const std::string& output : outputs) {
    if (output.empty()) continue;
    if (!written.insert(fs::weakly_canonical(output)).second) throw InvalidInput(fmt::format("{}: {} is named for two outputs; give each a file of its own", command, output));
    for (const std::string& input : inputs)
      if (std::error_code none; !input.empty() && fs::equivalent(input, output, none))
        throw InvalidInput(fmt::format("{}: {} is an input, and would be overwritten; name another file for the output", command, output));
  }
}

}  // namespace pathkernel::cli
