// Sweep against training: LeNet on MNIST, batch 64, 64 queries, replay included. Ratios in one run; the machine's noise hits both.
//   sweep_bench [steps] [threads] [rule]
#include <ATen/Parallel.h>
#include <ATen/core/Generator.h>
#include <fmt/format.h>
#include <pathkernel/core/allocation.h>
#include <pathkernel/data/batch_order.h>
#include <pathkernel/model/architectures.h>
#include <pathkernel/record/record_run.h>
#include <pathkernel/record/replay.h>
#include <pathkernel/sweep/sweep.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <thread>

#include "timing.h"

using namespace pathkernel;

namespace {

struct Case {
  const char* name;
  OptimizerSettings optimizer;
  double target;  ///< largest allowed ratio
};

struct Measured {
  double training, sweep;
  Timings timings;
  Ledger ledger;
};

Measured measure(const Case& c, const TrainTest& data, int64_t steps, const std::string& rule, const std::string& folder) {
  Manifest manifest;
  manifest.optimizer = c.optimizer;
  manifest.batch = 64;
  const double epochs = double(steps) * 64 / double(data.train.size());
  auto model = make_model("lenet", "relu", 0, at::kFloat);
  const auto outcome = record_run(folder, manifest, *model, data.train, shuffled_batches(data.train.size(), 64, epochs, 0));
  const Recording recording = Recording::open(folder);
  SweepOptions options;
  options.rule = GradientRule::parse(rule, 1);
  Measured m;
  options.timings = &m.timings;
  m.sweep = seconds([&] { m.ledger = sweep(recording, *model, data.train, select_queries("test:0-63", data), options); });
  m.training = outcome.seconds;
  std::filesystem::remove_all(folder);
  return m;
}

void print_time(const Measured& m, int64_t steps) {
  double known = 0;
  for (const auto& [what, time] : m.timings) known += time;
  for (const auto& [what, time] : m.timings) fmt::print("    {:<30} {:6.2f} ms a step  {:4.0f} %\n", what, 1e3 * time / double(steps), 100 * time / m.sweep);
  fmt::print("    {:<30} {:6.2f} ms a step  {:4.0f} %\n", "everything else", 1e3 * (m.sweep - known) / double(steps), 100 * (m.sweep - known) / m.sweep);
}

double largest(const Tensor& t) { return t.max().item<double>(); }

}  // namespace

int main(int argc, char** argv) {
  keep_freed_memory();
  const int64_t steps = argc > 1 ? std::stoll(argv[1]) : 200;
  const int threads = argc > 2 ? std::stoi(argv[2]) : int(std::thread::hardware_concurrency());
  at::set_num_threads(threads);
  const TrainTest data = load({.location = "mnist"});
  const std::string folder = (std::filesystem::temp_directory_path() / fmt::format("pathkernel-bench-{}", getpid())).string();
  std::filesystem::remove_all(folder);
  OptimizerSettings sgd, momentum, adamw;
  momentum.momentum = 0.9;
  adamw.name = "adamw", adamw.lr = 1e-3, adamw.weight_decay = 0.01;
  const std::vector<std::string> rules = argc > 3 ? std::vector<std::string>{argv[3]} : std::vector<std::string>{"secant", "gauss:2", "gauss:5"};
  const std::vector<Case> cases = {{"sgd", sgd, 3}, {"sgd momentum .9", momentum, 4}, {"adamw", adamw, 5}};
  fmt::print("LeNet on MNIST, float32, batch 64, 64 queries, {} steps, {} threads; sweep (replay included) against training\n", steps, threads);
  for (const Case& c : cases) {
    for (const std::string& rule : rules) {
      const Measured m = measure(c, data, steps, rule, folder);
      const Certificate& z = m.ledger.certificate;
      fmt::print("{:<16} {:<8} training {:6.2f} ms a step, sweep {:6.2f} ms a step: {:4.1f}x{}   residual {:.0e} of Σ|c|, {:.0e} of the change\n", c.name, rule,
                 1e3 * m.training / double(steps), 1e3 * m.sweep / double(steps), m.sweep / m.training,
                 rule == "secant" ? fmt::format(" (at most {:.0f}x wanted)", c.target) : "", largest(z.residual_to_contributions), z.residual_to_change.median().item<double>());
      if (rule == "secant") print_time(m, steps);
    }
  }
  rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  fmt::print("peak memory {:.2f} GiB\n", double(usage.ru_maxrss) / double(1 << 20));
}
