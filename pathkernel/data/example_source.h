#pragma once

#include <pathkernel/core/tensors.h>

#include <cstdint>

namespace pathkernel {

struct Batch;

/// Examples that are made when they are drawn: a program's own data set (a live Python one), whose inputs may be several tensors, and
/// random (augmentation).
class ExampleSource {
 public:
  virtual ~ExampleSource() = default;
  virtual int64_t size() const = 0;
  /// The same numbers whenever it is asked with the same indices and seed.
  virtual Batch take(const Tensor& indices, uint64_t random_seed) const = 0;
  /// Two sources with the same fingerprint are taken for the same data.
  virtual uint64_t fingerprint() const = 0;
};

}  // namespace pathkernel
