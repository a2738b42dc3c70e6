#pragma once

#include <pathkernel/core/tensors.h>

#include <string>

namespace pathkernel {

/// A .npy file that is written in place, piece by piece and in any order, and may be larger than the memory: a tensor on a mapping of the
/// file. It appears under its name whole or not at all: written beside it, renamed by commit(). Without commit() nothing is left.
class MappedNpy {
 public:
  /// Takes the disk space at once. @throws InvalidInput with the system's reason, or when the disk is too small
  MappedNpy(const std::string& path, const std::vector<int64_t>& sizes, at::ScalarType dtype);
  ~MappedNpy();
  MappedNpy(const MappedNpy&) = delete;
  MappedNpy& operator=(const MappedNpy&) = delete;

  /// Zeros at first. Not to be used after this object is gone.
  const Tensor& tensor() const { return tensor_; }
  void commit();

 private:
  void release();
  [[noreturn]] void fail(int error);

  std::string path_, temporary_;
  int descriptor_ = -1;
  void* mapping_ = nullptr;
  size_t bytes_ = 0;
  Tensor tensor_;
};

}  // namespace pathkernel
