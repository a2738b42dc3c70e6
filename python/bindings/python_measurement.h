#pragma once

#include <pathkernel/sweep/measurement.h>

#include "python_object.h"

namespace pathkernel::python {

/// A live Python measurement: an object with prepare(inputs, outputs, targets), values(outputs) -> [n, K], per_input and describe(i, k).
class PythonMeasurement : public Measurement {
 public:
  explicit PythonMeasurement(pybind11::object measurement) : measurement_(std::move(measurement)) {}
  void about(const Tensors& inputs) override { inputs_ = inputs; }
  void prepare(const Tensors& outputs, const Tensor& targets) override;
  Tensor values(const Tensors& outputs) const override;
  int64_t per_input() const override { return per_input_; }
  std::string describe(int64_t input, int64_t k) const override;
  std::string describe_any(int64_t k) const override { return describe(-1, k); }

 private:
  PythonObject measurement_;
  Tensors inputs_;
  int64_t per_input_ = 1;
};

}  // namespace pathkernel::python
