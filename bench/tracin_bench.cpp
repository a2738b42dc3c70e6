// TracIn over checkpoints against a training run: LeNet on 5000 MNIST images, 60000 draws in batches of 64 (twelve times the images, as many
// draws as an epoch of all MNIST), float32; then 64 queries × 5000 examples × 5 checkpoints. Both in one run; the machine's noise hits both.
//   tracin_bench [threads]
#include <ATen/Parallel.h>
#include <ATen/core/Generator.h>
#include <fmt/format.h>
#include <pathkernel/core/allocation.h>
#include <pathkernel/data/batch_order.h>
#include <pathkernel/model/architectures.h>
#include <pathkernel/record/record_run.h>
#include <pathkernel/sweep/tracin.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <thread>

using namespace pathkernel;

int main(int argc, char** argv) {
  keep_freed_memory();
  const int threads = argc > 1 ? std::stoi(argv[1]) : int(std::thread::hardware_concurrency());
  at::set_num_threads(threads);
  const TrainTest data = load({.location = "mnist", .limit = 5000});
  const std::string folder = (std::filesystem::temp_directory_path() / fmt::format("pathkernel-bench-{}", getpid())).string();
  std::filesystem::remove_all(folder);
  Manifest manifest;
  manifest.batch = 64;
  const auto model = make_model("lenet", "relu", 0, at::kFloat);
  const auto batches = shuffled_batches(data.train.size(), 64, 12, 0);
  const auto outcome = record_run(folder, manifest, *model, data.train, batches);
  const Recording recording = Recording::open(folder);
  const Queries queries = select_queries("test:0-63", data);
  const auto begin = std::chrono::steady_clock::now();
  const TracIn scores = tracin(recording, *model, data.train, queries, {.measure = "loss", .checkpoints = 5});
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  std::filesystem::remove_all(folder);
  fmt::print("TracIn, LeNet on MNIST, float32, {} queries x {} examples x {} checkpoints, {} threads: {:.2f} s, training ({} steps of 64) {:.2f} s: {:.2f}x (at most 0.5x wanted)\n",
             scores.ledger.query_count(), data.train.size(), scores.steps.size(), threads, seconds, batches.size(), outcome.seconds, seconds / outcome.seconds);
}
