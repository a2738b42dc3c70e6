#pragma once

#include <ATen/Parallel.h>
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
#include <functional>
#include <memory>
#include <string>
#include <utility>
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

using MakeModel = std::function<std::unique_ptr<Model>()>;

inline MakeModel network(const std::string& name, const std::string& activation, at::ScalarType dtype = at::kDouble) {
  return [=] { return make_model(name, activation, 3, dtype); };
}

/// A run recorded into a folder of its own, with what it takes to sweep it.
class RecordedRun {
 public:
  RecordedRun(MakeModel make, Dataset data, const Manifest& manifest, const std::vector<Tensor>& batches) : make_(std::move(make)), data_(std::move(data)) {
    at::set_num_threads(1);  // so little work is done before a second thread wakes up
    const auto model = make_();
    record_run(path(), manifest, *model, data_, batches);
  }

  ~RecordedRun() { at::set_num_threads(threads_); }
  RecordedRun(const RecordedRun&) = delete;
  RecordedRun& operator=(const RecordedRun&) = delete;

  std::string path() const { return folder_.path("run"); }
  Recording open() const { return Recording::open(path()); }
  const Dataset& data() const { return data_; }
  std::unique_ptr<Model> model() const { return make_(); }
  Ledger explain(const Queries& queries, const SweepOptions& options, const Progress& progress = {}) const {
    const auto model = make_();
    return sweep(open(), *model, data_, queries, options, progress);
  }

 private:
  const int threads_ = at::get_num_threads();
  Scratch folder_;
  MakeModel make_;
  Dataset data_;
};

inline SweepOptions in_double(const std::string& measure, const std::string& rule = "secant", int64_t panels = 1) {
  SweepOptions options;
  options.precision = at::kDouble;
  options.measure = measure;
  options.rule = GradientRule::parse(rule, panels);
  return options;
}

/// Named optimizers for tests over all of them; learning rates that move a small net.
struct NamedOptimizer {
  std::string name;
  OptimizerSettings settings;
};
inline std::vector<NamedOptimizer> all_optimizers() {
  return {
      {"sgd", {.lr = 0.3}},
      {"sgd_decay", {.lr = 0.2, .weight_decay = 0.1}},
      {"heavy_ball", {.lr = 0.2, .momentum = 0.9, .dampening = 0.3}},
      {"heavy_ball_decay", {.lr = 0.2, .momentum = 0.8, .dampening = 0.2, .weight_decay = 0.05}},
      {"nesterov", {.lr = 0.1, .momentum = 0.9, .nesterov = true}},
      {"nesterov_decay", {.lr = 0.2, .momentum = 0.8, .nesterov = true, .weight_decay = 0.05}},
      {"adam", {.name = "adam", .lr = 0.02}},
      {"adam_decay", {.name = "adam", .lr = 0.02, .weight_decay = 0.1}},
      {"adamw", {.name = "adamw", .lr = 0.03, .weight_decay = 0.2}},
      {"adamw_cosine", {.name = "adamw", .lr = 0.03, .weight_decay = 0.2, .schedule = "cosine"}},
      {"nesterov_decay_cosine", {.lr = 0.3, .momentum = 0.8, .nesterov = true, .weight_decay = 0.05, .schedule = "cosine"}},
      {"sgdw", {.lr = 0.2, .weight_decay = 0.1, .decoupled = true}},
      {"sgdw_nesterov", {.lr = 0.2, .momentum = 0.8, .nesterov = true, .weight_decay = 0.1, .decoupled = true}},
      {"amsgrad_decay", {.name = "adam", .lr = 0.02, .beta2 = 0.8, .amsgrad = true, .weight_decay = 0.1}},
      {"amsgrad_decoupled", {.name = "adamw", .lr = 0.03, .beta2 = 0.8, .amsgrad = true, .weight_decay = 0.2}},
      {"radam", {.name = "radam", .lr = 0.02, .beta2 = 0.9, .weight_decay = 0.1}},
      {"adamax", {.name = "adamax", .lr = 0.02}},
      {"adadelta", {.name = "adadelta", .lr = 1, .eps = 1e-4, .alpha = 0.9, .weight_decay = 0.1}},
      {"nadam", {.name = "nadam", .lr = 0.02}},
      {"nadam_decay", {.name = "nadam", .lr = 0.02, .momentum_decay = 0.05, .weight_decay = 0.1}},
      {"nadam_decoupled", {.name = "nadam", .lr = 0.03, .weight_decay = 0.2, .decoupled = true}},
      {"rmsprop", {.name = "rmsprop", .lr = 0.01}},
      {"rmsprop_decay", {.name = "rmsprop", .lr = 0.01, .alpha = 0.9, .centered = true, .weight_decay = 0.1}},
      {"rmsprop_momentum", {.name = "rmsprop", .lr = 0.005, .momentum = 0.8, .alpha = 0.9}},
      {"rmsprop_momentum_decay", {.name = "rmsprop", .lr = 0.005, .momentum = 0.8, .alpha = 0.9, .centered = true, .weight_decay = 0.1}},
      {"adagrad", {.name = "adagrad", .lr = 0.1, .eps = 1e-10}},
      {"adagrad_decay", {.name = "adagrad", .lr = 0.1, .eps = 1e-10, .lr_decay = 0.1, .initial_accumulator = 0.01, .weight_decay = 0.1}},
      {"lion", {.name = "lion", .lr = 0.01, .beta2 = 0.99}},
      {"lion_decay", {.name = "lion", .lr = 0.01, .beta1 = 0.7, .beta2 = 0.8, .weight_decay = 0.2}},
      {"step_warmup", {.lr = 0.3, .momentum = 0.8, .weight_decay = 0.05, .schedule = "step", .warmup = 2, .lr_step = 3, .lr_gamma = 0.5}},
      {"clip_norm", {.lr = 0.2, .momentum = 0.8, .nesterov = true, .weight_decay = 0.05, .clip_norm = 0.4}},
      {"clip_value", {.name = "adam", .lr = 0.02, .weight_decay = 0.1, .clip_value = 0.02}},
      {"clip_both", {.name = "rmsprop", .lr = 0.005, .momentum = 0.8, .alpha = 0.9, .weight_decay = 0.1, .clip_norm = 0.4, .clip_value = 0.05}},
      {"clip_plain", {.lr = 0.3, .clip_norm = 0.4, .clip_value = 0.05}},
      {"clip_lion", {.name = "lion", .lr = 0.01, .beta1 = 0.7, .beta2 = 0.8, .weight_decay = 0.2, .clip_norm = 0.4, .clip_value = 0.05}},
      {"one_cycle", {.name = "adamw", .lr = 0.05, .weight_decay = 0.2, .schedule = "one-cycle"}},
  };
}

}  // namespace pathkernel::testing
