#pragma once

#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/rand.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/tanh.h>
#include <ATen/ops/tensor.h>
#include <pathkernel/core/error.h>
#include <pathkernel/model/architectures.h>
#include <pathkernel/record/record_run.h>
#include <pathkernel/sweep/sweep.h>

#include <cmath>
#include <string>
#include <vector>

#include "scratch.h"

namespace pathkernel::testing {

/// f(x; w) = w₂ tanh(w₁ x) of theory 2.8, divided by √2 so that the mean squared error is its ½(f − y)².
class OracleModel : public Model {
 public:
  OracleModel() : w1_(at::tensor({0.5}, at::kDouble).set_requires_grad(true)), w2_(at::tensor({-0.3}, at::kDouble).set_requires_grad(true)) {}
  NamedTensors parameters() const override { return {{"w1", w1_}, {"w2", w2_}}; }
  NamedTensors buffers() const override { return {}; }
  Tensors forward(const Tensors& inputs, Mode) override { return {w2_ * at::tanh(inputs[0] * w1_) * M_SQRT1_2}; }
  std::string specification() const override { return "oracle"; }

 private:
  Tensor w1_, w2_;
};

inline Dataset oracle_data() {
  Dataset data;
  data.name = "oracle";
  data.inputs = at::tensor({1.0, -2.0}, at::kDouble).view({2, 1});
  data.targets = at::tensor({1.0, 0.5}, at::kDouble) * M_SQRT1_2;
  return data;
}

inline Tensor batch(std::vector<int64_t> rows) { return at::tensor(rows, at::kLong); }

/// Random classification data, float64.
inline Dataset random_classes(int64_t n, std::vector<int64_t> shape, int64_t classes, uint64_t seed) {
  at::manual_seed(seed);
  Dataset data;
  data.name = "random";
  shape.insert(shape.begin(), n);
  data.inputs = at::randn(shape, at::kDouble);
  data.targets = at::randint(classes, {n}, at::kLong);
  for (int64_t c = 0; c < classes; ++c) data.class_names.push_back(std::to_string(c));
  return data;
}

inline Manifest manifest(OptimizerSettings optimizer, const std::string& objective, int64_t batch) {
  Manifest m;
  m.optimizer = optimizer;
  m.objective = objective;
  m.batch = batch;
  return m;
}

inline Queries first_inputs(const Dataset& data, int64_t count) {
  Queries q;
  q.inputs = {data.inputs.narrow(0, 0, count)};
  q.targets = data.targets.narrow(0, 0, count);
  q.info.resize(size_t(count));
  return q;
}

}  // namespace pathkernel::testing
