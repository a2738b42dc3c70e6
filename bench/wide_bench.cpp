// An MLP of 10 million parameters (784-2600-3000-10), batch 64, 64 queries, on MNIST: where a training step costs 6BP operations, the
// dense contraction 2BQP, and heavy ball may keep its pushes factored (theory 4).
//   wide_bench [steps] [threads] [queries]
#include <ATen/Parallel.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/randn.h>
#include <fmt/format.h>
#include <pathkernel/core/allocation.h>
#include <pathkernel/data/batch_order.h>
#include <pathkernel/model/architectures.h>
#include <pathkernel/record/record_run.h>
#include <pathkernel/sweep/memory_adjoint.h>
#include <pathkernel/sweep/sweep.h>
#include <sys/resource.h>
#include <unistd.h>

#include <filesystem>
#include <thread>

#include "timing.h"

using namespace pathkernel;

namespace {

/// One layer's contraction of B rank-one gradients with Q dense adjoints, beside the bare matrix product of the same size.
void contraction(int64_t out, int64_t in, int64_t B, int64_t Q) {
  const Tensor dense = at::randn({Q, out * in}), rows = at::randn({B, in});
  const FactorList g = {outer_factor(at::randn({B, out, 1}), rows.unsqueeze(2))};
  const double product = best([&] { at::matmul(dense.view({Q * out, in}), rows.t()); }), ours = best([&] { contract(g, dense, B); });
  fmt::print("contraction {} x {}, B = {}, Q = {}: {:.0f} ms, the matrix product 2BQP alone {:.0f} ms: {:.2f}x (at most 1.5x wanted), {:.0f} GFLOP/s\n", out, in, B, Q, 1e3 * ours,
             1e3 * product, ours / product, 2e-9 * double(B * Q * out * in) / ours);
}

void run(const char* name, const OptimizerSettings& optimizer, const TrainTest& data, int64_t steps, int64_t Q, const std::string& folder) {
  Manifest manifest;
  manifest.optimizer = optimizer;
  manifest.batch = 64;
  auto model = make_model("mlp:784-2600-3000-10", "relu", 0, at::kFloat);
  const auto outcome = record_run(folder, manifest, *model, data.train, shuffled_batches(data.train.size(), 64, double(steps) * 64 / double(data.train.size()), 0));
  SweepOptions options;
  options.sampled_steps = 0;
  options.memory = int64_t(14) << 30;
  Timings timings;
  options.timings = &timings;
  Ledger ledger;
  const double sweeping = seconds([&] { ledger = sweep(Recording::open(folder), *model, data.train, select_queries(fmt::format("test:0-{}", Q - 1), data), options); });
  const double T = double(outcome.steps);
  fmt::print("{:<16} training {:.0f} ms a step, sweep {:.0f} ms a step: {:.1f}x; contraction {:.0f} ms; residual {:.0e} of Σ|c|\n", name, 1e3 * outcome.seconds / T, 1e3 * sweeping / T,
             sweeping / outcome.seconds, 1e3 * timings["adjoint and contraction"] / T, ledger.certificate.residual_to_contributions.max().item<double>());
  for (const auto& [what, time] : timings) fmt::print("    {:<30} {:7.0f} ms a step\n", what, 1e3 * time / T);
  std::filesystem::remove_all(folder);
}

}  // namespace

int main(int argc, char** argv) {
  keep_freed_memory();
  const int64_t steps = argc > 1 ? std::stoll(argv[1]) : 12;
  const int threads = argc > 2 ? std::stoi(argv[2]) : int(std::thread::hardware_concurrency());
  const int64_t Q = argc > 3 ? std::stoll(argv[3]) : 64;
  at::set_num_threads(threads);
  fmt::print("MLP 784-2600-3000-10 (10 million parameters) on MNIST, float32, batch 64, {} queries, {} threads\n", Q, threads);
  contraction(3000, 2600, 64, Q);
  contraction(2600, 784, 64, Q);
  const MemoryAdjoint::Plan plan = MemoryAdjoint::plan(3000, 2600, 64, Q, 0.9, at::kFloat);
  fmt::print("heavy ball .9 keeps {} pushes of the widest layer{}\n", plan.lags, plan.dense_never ? " and never writes it out" : "");
  const TrainTest data = load({.location = "mnist"});
  const std::string folder = (std::filesystem::temp_directory_path() / fmt::format("pathkernel-wide-{}", getpid())).string();
  OptimizerSettings momentum;
  momentum.momentum = 0.9;
  run("sgd", {}, data, steps, Q, folder);
  run("sgd momentum .9", momentum, data, steps, Q, folder);
  OptimizerSettings decay = momentum;
  decay.weight_decay = 1e-4;  // decay needs q, which is dense
  run("... with decay", decay, data, steps, Q, folder);
  rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  fmt::print("peak memory {:.2f} GiB\n", double(usage.ru_maxrss) / double(1 << 20));
}
