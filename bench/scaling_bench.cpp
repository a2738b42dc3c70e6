// Time and memory of the sweep against the number of queries Q, steps T, parameters P and training examples N, each beside the law that
// is expected of it (docs/cost.md): in Q linear above a constant (replay), in T and P linear, in N not at all but for the ledger.
//   scaling_bench [threads]
#include <ATen/Parallel.h>
#include <fmt/format.h>
#include <pathkernel/core/allocation.h>
#include <pathkernel/data/batch_order.h>
#include <pathkernel/model/architectures.h>
#include <pathkernel/record/record_run.h>
#include <pathkernel/sweep/sweep.h>
#include <sys/wait.h>
#include <sys/resource.h>
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <filesystem>
#include <functional>
#include <thread>

using namespace pathkernel;

namespace {

struct Setting {
  int64_t Q = 32, T = 64, width = 128, N = 8192;
};
struct Measured {
  double milliseconds = 0, megabytes = 0;  ///< a step of the sweep; peak above what the process had before
};

double peak() {
  rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return double(usage.ru_maxrss) / 1024;
}

/// Heavy ball with decay on an MLP 784-width-width-10: dense p and q, 2·Q·P numbers.
Measured measured(const Setting& s) {
  const TrainTest data = load({.location = "mnist", .limit = s.N});
  const std::string folder = (std::filesystem::temp_directory_path() / fmt::format("pathkernel-scaling-{}", getpid())).string();
  Manifest manifest;
  manifest.optimizer.momentum = 0.9;
  manifest.optimizer.weight_decay = 1e-4;
  manifest.batch = 64;
  auto model = make_model(fmt::format("mlp:784-{}-{}-10", s.width, s.width), "relu", 0, at::kFloat);
  record_run(folder, manifest, *model, data.train, shuffled_batches(s.N, 64, double(s.T) * 64 / double(s.N), 0));
  SweepOptions options;
  options.sampled_steps = 0;
  options.check = false;
  const Queries queries = select_queries(fmt::format("test:0-{}", s.Q - 1), data);
  const double before = peak();
  const auto begin = std::chrono::steady_clock::now();
  sweep(Recording::open(folder), *model, data.train, queries, options);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  std::filesystem::remove_all(folder);
  return {1e3 * seconds / double(s.T), peak() - before};
}

/// In a process of its own, so that peaks do not mix.
Measured apart(const Setting& s) {
  int ends[2];
  if (pipe(ends) != 0) return {};
  const pid_t child = fork();
  if (child == 0) {
    const Measured m = measured(s);
    const bool written = write(ends[1], &m, sizeof m) == sizeof m;
    _exit(written ? 0 : 1);
  }
  Measured m;
  const bool got = read(ends[0], &m, sizeof m) == sizeof m;
  close(ends[0]);
  close(ends[1]);
  waitpid(child, nullptr, 0);
  return got ? m : Measured{};
}

int64_t parameters(int64_t width) { return 785 * width + (width + 1) * width + (width + 1) * 10; }

/// One line a value, with the law's prediction from the first and the last value (linear with an offset).
void series(const char* name, const std::vector<int64_t>& values, const std::function<Setting(int64_t)>& setting, const std::function<double(int64_t)>& size) {
  std::vector<Measured> all;
  for (const int64_t v : values) all.push_back(apart(setting(v)));
  const double x0 = size(values.front()), x1 = size(values.back());
  const auto law = [&](double a, double b, double x) { return a + (b - a) * (x - x0) / (x1 - x0); };
  fmt::print("{:>10} {:>12} {:>14} {:>12} {:>14}\n", name, "ms a step", "line through", "MiB above", "line through");
  for (size_t k = 0; k < values.size(); ++k) {
    const double x = size(values[k]);
    fmt::print("{:>10} {:>12.2f} {:>14.2f} {:>12.0f} {:>14.0f}\n", values[k], all[k].milliseconds, law(all.front().milliseconds, all.back().milliseconds, x), all[k].megabytes,
               law(all.front().megabytes, all.back().megabytes, x));
  }
  fmt::print("\n");
}

}  // namespace

int main(int argc, char** argv) {
  const int threads = argc > 1 ? std::stoi(argv[1]) : 1;
  at::set_num_threads(threads);
  fmt::print("MLP 784-w-w-10 on MNIST, heavy ball with decay, float32, batch 64, {} threads; 32 queries, 64 steps, w = 128, 8192 examples where not varied\n"
             "'line through': what a straight line through the first and the last row says\n\n", threads);
  const auto itself = [](int64_t v) { return double(v); };
  series("Q", {1, 4, 16, 64, 128, 256}, [](int64_t v) { return Setting{.Q = v}; }, itself);
  series("T", {16, 64, 144, 256}, [](int64_t v) { return Setting{.T = v, .N = 16384}; }, [](int64_t v) { return std::ceil(std::sqrt(double(v))); });
  series("width", {32, 128, 256, 512}, [](int64_t v) { return Setting{.width = v}; }, [](int64_t v) { return double(parameters(v)); });
  series("N", {4096, 16384, 60000}, [](int64_t v) { return Setting{.N = v}; }, itself);
}
