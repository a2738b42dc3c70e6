#pragma once

#include <pathkernel/sweep/ledger.h>

#include <ATen/TensorOperators.h>
#include <ATen/ops/linspace.h>
#include <ATen/ops/sin.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include <string>

namespace pathkernel::test {

/// A ledger with made-up draws whose views are computed from them as the format says: 6 examples, 3 queries, 4 steps of
/// 3 draws, 2 layers, 2 classes. For regression: one class "all", with path_kernel and inputs.
inline Ledger synthetic_ledger(bool regression = false) {
  constexpr int64_t N = 6, Q = 3, T = 4, batch = 3, L = 2, D = T * batch;
  const int64_t C = regression ? 1 : 2;
  Ledger l;
  // exact in float32: multiples of 1/1024, so that every view can be compared bit by bit
  const auto made_up = [](at::IntArrayRef sizes, double phase) {
    int64_t n = 1;
    for (const int64_t s : sizes) n *= s;
    return (at::sin(at::linspace(phase, phase + static_cast<double>(n), n, at::kDouble)) * 1024).round().div(1024).reshape(sizes);
  };
  const Tensor parts = made_up({D, L, Q}, 0.3);  // a draw's contribution, layer by layer
  l.draws = parts.sum(1).to(at::kFloat);
  l.draw_step = at::tensor({0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3}, at::kLong);
  l.draw_example = at::tensor({0, 1, 2, 3, 4, 5, 5, 5, 0, 2, 4, 1}, at::kLong);  // example 5 twice in a batch
  l.example_targets = regression ? made_up({N}, 7) : at::tensor({0., 1., 0., 1., 0., 1.}, at::kDouble);
  const Tensor example_class = regression ? at::zeros({N}, at::kLong) : l.example_targets.to(at::kLong);
  const Tensor draws = l.draws.to(at::kDouble);
  l.contributions = at::zeros({N, Q}, at::kDouble).index_add_(0, l.draw_example, draws);
  l.by_step = at::zeros({T, Q}, at::kDouble).index_add_(0, l.draw_step, draws);
  l.by_layer = parts.sum(0);
  l.by_layer_step = at::zeros({T, L, Q}, at::kDouble).index_add_(0, l.draw_step, parts).to(at::kFloat);
  l.by_class = at::zeros({C, Q}, at::kDouble).index_add_(0, example_class, l.contributions);
  const Tensor cell = l.draw_step * C + example_class.index_select(0, l.draw_example);
  l.by_class_step = at::zeros({T * C, Q}, at::kDouble).index_add_(0, cell, draws).reshape({T, C, Q}).to(at::kFloat);
  l.initial = made_up({Q}, 20);
  l.decay = made_up({Q}, 30) / 8;
  l.buffers = at::zeros({Q}, at::kDouble);
  for (Tensor* t : {&l.regulariser, &l.in_flight, &l.jumps}) *t = at::zeros({Q}, at::kDouble);
  l.rounding = made_up({Q}, 40) / 1024;
  l.residual = made_up({Q}, 50) / 65536;
  l.final = l.initial + l.change() + l.residual;
  l.outputs = at::zeros({T + 1, Q}, at::kDouble);
  for (int64_t t = 0; t <= T; ++t) l.outputs[t].copy_(l.initial + (l.final - l.initial) * (static_cast<double>(t) / T));
  l.layers = {"conv1", "fc1"};
  l.classes = regression ? std::vector<std::string>{"all"} : std::vector<std::string>{"cat", "dog"};
  for (int64_t q = 0; q < Q; ++q)
    l.queries.push_back(regression ? QueryInfo{"grid:" + std::to_string(q), "output 0", q, "grid", -1, -1}
                                   : QueryInfo{"test:" + std::to_string(q), "log-odds of dog", q, "test", q % 2, 1});
  if (regression) {
    l.path_kernel = made_up({N, Q}, 60);
    l.query_inputs = at::linspace(-1, 1, Q, at::kDouble).unsqueeze(1);
    l.example_inputs = at::linspace(-1, 1, N, at::kDouble).unsqueeze(1);
  }
  l.settings.recording = "runs/none";
  l.settings.queries = "test:0-2";
  l.settings.last_step = T;
  const Tensor change = (l.final - l.initial).abs();
  l.certificate.residual_to_contributions = l.residual.abs() / l.contributions.abs().sum(0);
  l.certificate.residual_to_change = l.residual.abs() / change;
  l.certificate.rounding_to_change = l.rounding.abs() / change;
  l.certificate.split_uncertainty = at::tensor({0.006, 0.004, 0.012}, at::kDouble);
  l.certificate.sampled_steps = 2;
  return l;
}

inline ::testing::AssertionResult has(const std::string& text, const std::string& part) {
  if (text.find(part) != std::string::npos) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure() << "'" << part << "' is not in '" << text << "'";
}

/// An empty folder that is removed with what is in it.
class ScratchFolder {
 public:
  ScratchFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "pathkernel-test-XXXXXX").string();
    path_ = ::mkdtemp(name.data());
  }
  ~ScratchFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

}  // namespace pathkernel::test
