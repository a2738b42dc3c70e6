#pragma once

#include <pathkernel/core/files.h>
#include <pathkernel/core/random.h>

#include <fmt/format.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <string>

/// Damages the files of a folder, one at a time, and puts them back.
namespace pathkernel::testing {

using Files = std::map<std::string, std::string>;

inline Files files_of(const std::string& folder) {
  Files files;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder))
    if (entry.is_regular_file()) files[entry.path().string()] = read_file(entry.path());
  return files;
}

inline void put_back(const std::string& folder, const Files& files) {
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder))
    if (entry.is_regular_file() && !files.contains(entry.path())) std::filesystem::remove(entry.path());
  for (const auto& [path, bytes] : files) std::ofstream(path, std::ios::binary) << bytes;
}

/// Flips a bit here and there, then cuts the file off at lengths from 0 up. `look` opens what is there.
inline void damage(const std::string& folder, int flips, int cuts, const std::function<void(const std::string&)>& look) {
  const Files files = files_of(folder);
  RandomStream random(7);
  for (const auto& [path, bytes] : files) {
    if (path.ends_with("-shm")) continue;  // SQLite's own memory: made anew
    const std::string name = std::filesystem::path(path).filename();
    for (int i = 0; i < flips && !bytes.empty(); ++i) {
      const uint64_t place = random.below(bytes.size()), bit = random.below(8);
      std::string changed = bytes;
      changed[place] = static_cast<char>(changed[place] ^ (1 << bit));
      std::ofstream(path, std::ios::binary) << changed;
      look(fmt::format("{}, bit {} of byte {} flipped", name, bit, place));
      put_back(folder, files);
    }
    for (int i = 0; i < cuts; ++i) {
      const uint64_t length = bytes.size() * static_cast<uint64_t>(i) / static_cast<uint64_t>(cuts);
      std::ofstream(path, std::ios::binary) << bytes.substr(0, length);
      look(fmt::format("{}, cut off at {} of {}", name, length, bytes.size()));
      put_back(folder, files);
    }
    std::filesystem::remove(path);
    look(name + ", removed");
    put_back(folder, files);
  }
}

}  // namespace pathkernel::testing
