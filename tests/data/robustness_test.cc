// Every reader against damaged files: each byte changed in several ways, and the file cut off after each byte. A reader reads or
// throws InvalidInput; anything else (another exception, a crash, memory the file does not back) is a failure.
#include <pathkernel/core/error.h>
#include <pathkernel/core/files.h>
#include <pathkernel/data/idx.h>
#include <pathkernel/data/npy.h>
#include <pathkernel/data/safetensors.h>
#include <pathkernel/data/table.h>

#include <ATen/ops/arange.h>
#include <ATen/ops/ones.h>
#include <gtest/gtest.h>
#include <memory_limit.h>
#include <scratch.h>
#include <sys/mman.h>
#include <unistd.h>

#include <functional>

namespace pathkernel {
namespace {

using testing::MemoryLimit;
using testing::Scratch;

using Reader = std::function<void(const std::string& path)>;

void try_damaged(const std::string& contents, const Reader& read) {
  const int file = ::memfd_create("damaged", MFD_CLOEXEC);  // thousands of files: in memory
  ASSERT_GE(file, 0);
  const std::string path = "/proc/self/fd/" + std::to_string(file);
  const MemoryLimit limit(256u << 20);
  int read_all_the_same = 0, refused = 0;
  const auto attempt = [&](const std::string& damaged, const std::string& how) {
    ASSERT_EQ(::ftruncate(file, 0), 0);
    ASSERT_EQ(::pwrite(file, damaged.data(), damaged.size(), 0), static_cast<ssize_t>(damaged.size()));
    try {
      read(path);
      ++read_all_the_same;
    } catch (const InvalidInput& error) {
      EXPECT_NE(std::string(error.what()), "");
      ++refused;
    } catch (const std::exception& error) {
      ADD_FAILURE() << how << ": " << error.what();
    }
  };
  for (size_t at = 0; at < contents.size(); ++at) {
    for (const int change : {0x01, 0x10, 0x80, 0xff}) {
      std::string damaged = contents;
      damaged[at] = static_cast<char>(damaged[at] ^ change);
      attempt(damaged, "byte " + std::to_string(at) + " xor " + std::to_string(change));
    }
    for (const char digit : {'9', '"', '[', '\0'}) {
      std::string damaged = contents;
      damaged[at] = digit;
      attempt(damaged, "byte " + std::to_string(at) + " set");
    }
    attempt(contents.substr(0, at), "cut off after " + std::to_string(at) + " bytes");
    attempt(contents.substr(0, at) + contents.substr(at, 1) + contents.substr(at), "byte " + std::to_string(at) + " doubled");
  }
  ::close(file);
  EXPECT_GT(refused, 0);
  EXPECT_GT(read_all_the_same, 0) << "damage to the numbers themselves cannot be seen";
}

TEST(Robustness, Idx) {
  std::string contents("\0\0\x0d\x02\0\0\0\x02\0\0\0\x03", 12);
  try_damaged(contents + std::string(24, '\1'), [](const std::string& path) { read_idx(path); });
}

TEST(Robustness, Npy) {
  const Scratch scratch;
  write_npy(scratch.path("x.npy"), at::arange(6, at::kFloat).reshape({2, 3}));
  try_damaged(read_file(scratch.path("x.npy")), [](const std::string& path) { read_npy(path); });
}

TEST(Robustness, Safetensors) {
  const Scratch scratch;
  const NamedTensors tensors = {{"a", at::arange(3, at::kFloat)}, {"b", at::ones({2, 1}, at::kBool)}, {"c", at::ones({}, at::kLong)}};
  write_safetensors(scratch.path("x.safetensors"), tensors, {{"format", "pt"}});
  try_damaged(read_file(scratch.path("x.safetensors")), [](const std::string& path) { read_safetensors(path); });
}

TEST(Robustness, Csv) {
  try_damaged("\"a\",b,y\r\n1,\"2.5\",x\r\n-3e1,4,\"z \"\"q\"\"\"\r\n", [](const std::string& path) { read_table(path, "y"); });
}

}  // namespace
}  // namespace pathkernel
