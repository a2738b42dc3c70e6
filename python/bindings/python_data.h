#pragma once

#include <pathkernel/data/dataset.h>

#include "python_object.h"

namespace pathkernel::python {

/// A live Python data set: an object with take(indices, seed) -> (list of tensors, targets), __len__ and fingerprint.
class PythonSource : public ExampleSource {
 public:
  explicit PythonSource(pybind11::object data);
  int64_t size() const override { return size_; }
  Batch take(const Tensor& indices, uint64_t random_seed) const override;
  uint64_t fingerprint() const override { return fingerprint_; }

 private:
  PythonObject data_;
  int64_t size_;
  uint64_t fingerprint_;
};

}  // namespace pathkernel::python
