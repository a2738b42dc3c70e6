#include "checks.h"
#include "commands.h"
#include "gram_kernel_options.h"
#include "output_folder.h"
#include "read_rows.h"
#include "terminal.h"

#include <pathkernel/core/bytes.h>
#include <pathkernel/core/error.h>
#include <pathkernel/data/npy.h>
#include <pathkernel/kernel/gram.h>

#include <ATen/Parallel.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include <chrono>
#include <memory>

namespace pathkernel::cli {
namespace {

struct Options {
  GramKernelOptions kernel;
  std::string x, y, output, dtype = "float64", memory = "4GiB", errors;
  int64_t threads = 0, draws = 8;
  bool diagonal = false, json = false;
};

/// Refused before the work, not after it.
void check_output(const std::string& path) {
  if (!path.ends_with(".npy")) throw InvalidInput(fmt::format("kernel: the output is \"{}\", but a name that ends in .npy is expected", path));
}

struct Result {
  std::vector<int64_t> sizes;
  double largest_error = -1;  ///< standard error; negative for exact kernels
};

Result compute(const Kernel& kernel, const Options& o, const Tensor& x, const Tensor& y) {
  GramOptions options;
  options.memory = parse_bytes(o.memory);
  options.progress = progress_bar();
  Result result;
  const bool random = kernel.redrawn(0) != nullptr;
  if (!o.errors.empty() && (!random || o.diagonal))
    throw InvalidInput(fmt::format("kernel: --errors is for matrices estimated by Monte Carlo; {} is exact",
                                   o.diagonal ? "the diagonal here" : kernel.specification()));
  if (o.diagonal) {
    if (y.defined()) throw InvalidInput("kernel: --diagonal is K(x, x) for every x; leave out --y");
    if (random) throw InvalidInput("kernel: this kernel is estimated by Monte Carlo; compute the matrix, which comes with its errors");
    const Tensor diagonal = gram_diagonal(kernel, x, options);
    write_npy(o.output, diagonal);
    result.sizes = diagonal.sizes().vec();
    return result;
  }
  result.sizes = {x.size(0), (y.defined() ? y : x).size(0)};
  if (!random) {
    gram_to_npy(kernel, x, y, o.output, options);
    return result;
  }
  const GramEstimate estimate = gram_estimate(kernel, x, y, o.draws, options);
  write_npy(o.output, estimate.mean);
  if (!o.errors.empty()) write_npy(o.errors, estimate.standard_error);
  result.largest_error = estimate.standard_error.max().item<double>();
  return result;
}

void print(const Kernel& kernel, const Options& o, const Result& result, double seconds) {
  const bool symmetric = o.y.empty() && !o.diagonal;
  if (o.json) {
    nlohmann::json json{{"output", o.output}, {"kernel", kernel.specification()}, {"shape", result.sizes}, {"dtype", o.dtype},
                        {"symmetric", symmetric}, {"seconds", seconds}};
    if (result.largest_error >= 0) json["largest_standard_error"] = result.largest_error;
    fmt::print("{}\n", json.dump(2));
    return;
  }
  fmt::print("{}: {} [{}]{}, {}, in {}\n", o.output, o.dtype, fmt::join(result.sizes, ", "), symmetric ? ", symmetric" : "", kernel.specification(),
             print_duration(seconds));
  if (result.largest_error >= 0) fmt::print("a Monte-Carlo estimate from {} draws: largest standard error {:.2g}\n", o.draws, result.largest_error);
}

void run(const Options& o) {
  check_output(o.output);
  if (!o.errors.empty()) check_output(o.errors);
  check_apart("kernel", {o.output, o.errors}, {o.x, o.y});
  if (o.threads > 0) at::set_num_threads(static_cast<int>(o.threads));
  const KernelPtr kernel = o.kernel.make();
  const at::ScalarType dtype = o.dtype == "float32" ? at::kFloat : at::kDouble;
  const Tensor x = read_inputs(o.x, dtype), y = o.y.empty() ? Tensor() : read_inputs(o.y, dtype);
  const auto begin = std::chrono::steady_clock::now();
  const Result result = compute(*kernel, o, x, y);
  print(*kernel, o, result, std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
}

}  // namespace

void add_kernel(CLI::App& app) {
  auto o = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("kernel", "Write the Gram matrix of a kernel: infinitely wide networks and classical kernels");
  o->kernel.add_to(*command, "kernel")->required();
  command->add_option("--x", o->x, "Inputs: .npy, [n, d], or [n, C, H, W] for convolutions")->required();
  command->add_option("--y", o->y, "Other inputs: K(x, y); without them the symmetric K(x, x)");
  command->add_option("-o,--output", o->output, "The matrix, .npy")->required();
  command->add_flag("--diagonal", o->diagonal, "Only K(x, x) of every x");
  command->add_option("--dtype", o->dtype, "Of the computation and the output")->check(CLI::IsMember({"float64", "float32"}))->capture_default_str();
  command->add_option("--memory", o->memory, "For computing; the matrix itself is written to the file as it comes")->capture_default_str();
  command->add_option("--threads", o->threads, "Threads to compute with (default: all)")->check(thread_count);
  command->add_option("--draws", o->draws, "Repetitions of a kernel that is estimated by Monte Carlo")->check(CLI::Range(2,
      1000000))->capture_default_str();
  command->add_option("--errors", o->errors, "Their standard errors, .npy");
  command->add_flag("--json", o->json, "Print the result as JSON");
  command->footer("Example:\n  pathkernel kernel ntk --net \"dense relu dense relu dense\" --w-std 1.5 --b-std 0.1 --x a.npy --y b.npy -o K.npy\n  "
                  "pathkernel kernel rbf --lengthscale 1.5 --x a.npy -o K.npy");
  command->callback([=] { run(*o); });
}

}  // namespace pathkernel::cli
