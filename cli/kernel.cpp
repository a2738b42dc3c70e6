#include "checks.h"
#include "commands.h"
#include "terminal.h"

#include <pathkernel/core/bytes.h>
#include <pathkernel/core/error.h>
#include <pathkernel/data/npy.h>
#include <pathkernel/kernel/gram.h>
#include <pathkernel/kernel/network.h>

#include <ATen/Parallel.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include <chrono>
#include <memory>

namespace pathkernel::cli {
namespace {

struct Options {
  std::string kernel, net, parametrization = "ntk", x, y, output, dtype = "float64", memory = "4GiB", errors;
  double W_std = 1, b_std = 0;
  std::vector<std::pair<std::string, std::vector<double>>> arguments;  ///< --lengthscale and the like, as given
  int64_t threads = 0, draws = 8;
  bool has_W_std = false, has_b_std = false, has_parametrization = false, diagonal = false, json = false;
};

/// "rbf" with --lengthscale 1 2 becomes "rbf:lengthscale=[1 2]".
std::string with_arguments(const Options& o) {
  if (o.arguments.empty()) return o.kernel;
  if (o.kernel.find_first_of(":*+ (") != std::string::npos)
    throw InvalidInput(fmt::format("kernel: --{} goes with the plain name of a kernel; in \"{}\" write it behind a colon, e.g. rbf:lengthscale=1.5",
                                   o.arguments[0].first, o.kernel));
  std::string text = o.kernel + ":";
  for (const auto& [key, values] : o.arguments) {
    const std::string value = values.size() == 1 ? fmt::format("{}", values[0]) : fmt::format("[{}]", fmt::join(values, " "));
    text += fmt::format("{}{}={}", text.ends_with(':') ? "" : ",", key, value);
  }
  return text;
}

KernelPtr make_kernel(const Options& o) {
  const bool network = o.kernel == "ntk" || o.kernel == "nngp";
  if (!network) {
    if (!o.net.empty() || o.has_W_std || o.has_b_std || o.has_parametrization)
      throw InvalidInput(fmt::format("kernel: --net, --w-std, --b-std and --parametrization go with ntk and nngp, not with \"{}\"", o.kernel));
    return parse_kernel(with_arguments(o));
  }
  if (o.net.empty()) throw InvalidInput(fmt::format("kernel {}: which network? For example --net \"dense relu dense relu dense\"", o.kernel));
  if (!o.arguments.empty()) throw InvalidInput(fmt::format("kernel {}: it has no --{}", o.kernel, o.arguments[0].first));
  LayerDefaults defaults;
  defaults.W_std = o.W_std;
  if (o.has_b_std) defaults.b_std = o.b_std;
  if (o.parametrization == "standard") defaults.parametrization = stax::Parametrization::standard;
  return network_kernel(parse_network(o.net, defaults), o.kernel == "ntk" ? Limit::ntk : Limit::nngp);
}

Tensor read_inputs(const std::string& path, const std::string& dtype) {
  const Tensor x = read_npy(path).to(dtype == "float32" ? at::kFloat : at::kDouble);
  if (x.dim() == 1) return x.unsqueeze(1);
  return x;
}

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
  if (o.threads > 0) at::set_num_threads(static_cast<int>(o.threads));
  const KernelPtr kernel = make_kernel(o);
  const Tensor x = read_inputs(o.x, o.dtype), y = o.y.empty() ? Tensor() : read_inputs(o.y, o.dtype);
  const auto begin = std::chrono::steady_clock::now();
  const Result result = compute(*kernel, o, x, y);
  print(*kernel, o, result, std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
}

}  // namespace

void add_kernel(CLI::App& app) {
  auto o = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("kernel", "Write the Gram matrix of a kernel: infinitely wide networks and classical kernels");
  command->add_option("kernel", o->kernel, fmt::format("ntk or nngp (with --net), or {}, or an expression like \"0.5*rbf:1.5 + linear\"",
                                                       "constant, cosine, laplace, linear, matern, periodic, polynomial, rbf, rq"))->required();
  command->add_option("--net", o->net, "Layers, e.g. \"dense relu dense\" or \"conv:3x3,same relu gap dense\" (docs/kernels.md has them all)");
  CLI::Option* W_std = command->add_option("--w-std", o->W_std, "W_std of all layers that state none")->check(not_negative)->capture_default_str();
  CLI::Option* b_std = command->add_option("--b-std", o->b_std, "b_std of all layers that state none (default: no bias)")->check(not_negative);
  CLI::Option* parametrization =
      command->add_option("--parametrization", o->parametrization, "ntk | standard (needs widths, dense:512)")->check(CLI::IsMember({"ntk",
          "standard"}))->capture_default_str();
  auto values = std::make_shared<std::vector<std::vector<double>>>(8);
  const std::vector<std::pair<const char*, const char*>> arguments = {
      {"lengthscale", "One, or one per input dimension"}, {"nu", "matern: 0.5 | 1.5 | 2.5"}, {"alpha", "rq"},
      {"period", "periodic; one, or one per dimension"},  {"degree", "polynomial"},           {"gamma", "polynomial"},
      {"coef0", "polynomial"},                            {"norm", "laplace: 1 | 2"}};
  std::vector<CLI::Option*> given;
  for (size_t k = 0; k < arguments.size(); ++k)
    given.push_back(command->add_option(std::string("--") + arguments[k].first, (*values)[k], arguments[k].second));
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
  command->callback([=] {
    o->has_W_std = W_std->count() > 0;
    o->has_b_std = b_std->count() > 0;
    o->has_parametrization = parametrization->count() > 0;
    for (size_t k = 0; k < given.size(); ++k)
      if (given[k]->count() > 0) o->arguments.emplace_back(arguments[k].first, (*values)[k]);
    run(*o);
  });
}

}  // namespace pathkernel::cli
