#include "gram_kernel_options.h"
#include "checks.h"

#include <pathkernel/core/error.h>
#include <pathkernel/kernel/network.h>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace pathkernel::cli {

CLI::Option* GramKernelOptions::add_to(CLI::App& command, const std::string& name) {
  CLI::Option* kernel = command.add_option(name, kernel_, fmt::format("ntk or nngp (with --net), or {}, or an expression like \"0.5*rbf:1.5 + linear\"",
                                                                      "constant, cosine, laplace, linear, matern, periodic, polynomial, rbf, rq"));
  command.add_option("--net", net_, "Layers, e.g. \"dense relu dense\" or \"conv:3x3,same relu gap dense\" (docs/kernels.md has them all)");
  W_std_option_ = command.add_option("--w-std", W_std_, "W_std of all layers that state none")->check(not_negative)->capture_default_str();
  b_std_option_ = command.add_option("--b-std", b_std_, "b_std of all layers that state none (default: no bias)")->check(not_negative);
  parametrization_option_ = command.add_option("--parametrization", parametrization_, "ntk | standard (needs widths, dense:512)")
                                ->check(CLI::IsMember({"ntk", "standard"}))
                                ->capture_default_str();
  const std::vector<std::pair<const char*, const char*>> arguments = {
      {"lengthscale", "One, or one per input dimension"}, {"nu", "matern: 0.5 | 1.5 | 2.5"}, {"alpha", "rq"},
      {"period", "periodic; one, or one per dimension"},  {"degree", "polynomial"},           {"gamma", "polynomial"},
      {"coef0", "polynomial"},                            {"norm", "laplace: 1 | 2"}};
  for (const auto& [key, help] : arguments) {
    arguments_.push_back(std::make_unique<Argument>(Argument{key, {}, nullptr}));
    arguments_.back()->option = command.add_option(std::string("--") + key, arguments_.back()->values, help);
  }
  return kernel;
}

std::string GramKernelOptions::with_arguments() const {
  std::string text = kernel_;
  for (const auto& argument : arguments_) {
    if (argument->option->count() == 0) continue;
    if (kernel_.find_first_of(":*+ (") != std::string::npos)
      throw InvalidInput(fmt::format("kernel: --{} goes with the plain name of a kernel; in \"{}\" write it behind a colon, e.g. rbf:lengthscale=1.5", argument->name,
                                     kernel_));
    const std::vector<double>& values = argument->values;
    const std::string value = values.size() == 1 ? fmt::format("{}", values[0]) : fmt::format("[{}]", fmt::join(values, " "));
    text += fmt::format("{}{}={}", text == kernel_ ? ":" : ",", argument->name, value);
  }
  return text;
}

KernelPtr GramKernelOptions::make() const {
  if (kernel_ != "ntk" && kernel_ != "nngp") {
    if (!net_.empty() || W_std_option_->count() + b_std_option_->count() + parametrization_option_->count() > 0)
      throw InvalidInput(fmt::format("kernel: --net, --w-std, --b-std and --parametrization go with ntk and nngp, not with \"{}\"", kernel_));
    return parse_kernel(with_arguments());
  }
  if (net_.empty()) throw InvalidInput(fmt::format("kernel {}: which network? For example --net \"dense relu dense relu dense\"", kernel_));
  for (const auto& argument : arguments_)
    if (argument->option->count() > 0) throw InvalidInput(fmt::format("kernel {}: it has no --{}", kernel_, argument->name));
  LayerDefaults defaults;
  defaults.W_std = W_std_;
  if (b_std_option_->count() > 0) defaults.b_std = b_std_;
  if (parametrization_ == "standard") defaults.parametrization = stax::Parametrization::standard;
  return network_kernel(parse_network(net_, defaults), kernel_ == "ntk" ? Limit::ntk : Limit::nngp);
}

}  // namespace pathkernel::cli
