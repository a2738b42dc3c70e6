#include <pathkernel/data/mapped_npy.h>

#include <pathkernel/core/error.h>
#include <pathkernel/core/files.h>
#include <pathkernel/data/npy.h>

#include <ATen/ops/from_blob.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <functional>
#include <numeric>

namespace pathkernel {

MappedNpy::MappedNpy(const std::string& path, const std::vector<int64_t>& sizes, at::ScalarType dtype)
    : path_(path), temporary_(fmt::format("{}.part-{}", path, ::getpid())) {
  const std::string header = npy_header(sizes, dtype);
  const int64_t numbers = std::accumulate(sizes.begin(), sizes.end(), int64_t{1}, std::multiplies<>());
  bytes_ = header.size() + static_cast<size_t>(numbers) * at::elementSize(dtype);
  const std::filesystem::path folder = std::filesystem::path(path).parent_path();
  check_free_disk(folder.empty() ? "." : folder.string(), static_cast<int64_t>(bytes_), path);

  descriptor_ = ::open(temporary_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (descriptor_ < 0) {
    const int error = errno;
    temporary_.clear();  // not ours
    fail(error);
  }
  // Space is taken now: a full disk found later would end the program instead of this call.
  if (const int error = ::posix_fallocate(descriptor_, 0, static_cast<off_t>(bytes_))) fail(error);
  mapping_ = ::mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor_, 0);
  if (mapping_ == MAP_FAILED) {
    mapping_ = nullptr;
    fail(errno);
  }
  std::memcpy(mapping_, header.data(), header.size());
  tensor_ = at::from_blob(static_cast<char*>(mapping_) + header.size(), sizes, at::TensorOptions(dtype));
}

void MappedNpy::release() {
  tensor_ = Tensor();
  if (mapping_ != nullptr) ::munmap(mapping_, bytes_);
  if (descriptor_ >= 0) ::close(descriptor_);
  mapping_ = nullptr;
  descriptor_ = -1;
}

void MappedNpy::fail(int error) {
  release();
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
  temporary_.clear();
  throw InvalidInput(fmt::format("cannot write {}: {}", path_, std::strerror(error)));
}

MappedNpy::~MappedNpy() {
  release();
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

void MappedNpy::commit() {
  if (::msync(mapping_, bytes_, MS_SYNC) != 0 || ::fsync(descriptor_) != 0) fail(errno);
  release();
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) fail(errno);
  temporary_.clear();
}

}  // namespace pathkernel
