#include "spectrum_options.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

namespace pathkernel::cli {
namespace {

const std::vector<std::string> zonal{"arc0", "arc1", "arc2", "ntk", "nngp", "step", "laplace", "gaussian"};

/// Names that people may well try, of kernels that tell the coordinates of x apart.
const std::vector<std::string> not_zonal{"conv", "cnn", "cntk", "convolution", "lenet", "resnet", "attention", "transformer", "linear-attention", "gap"};

bool contains(const std::vector<std::string>& list, const std::string& word) { return std::find(list.begin(), list.end(), word) != list.end(); }

}  // namespace

void KernelOptions::add_to(CLI::App& command) {
  command.add_option("kernel", name, fmt::format("One of {}", fmt::join(zonal, ", ")));
  depth_option = command.add_option("--depth", depth, "Weight layers L of ntk, nngp and step: 2 is one hidden layer");
  scale_option = command.add_option("--scale", scale, "c of laplace, exp(-c|x-x'|), and gaussian, exp(-c|x-x'|²)")->capture_default_str();
}

ZonalKernel KernelOptions::kernel() const {
  if (name.empty()) throw CLI::ValidationError(fmt::format("KERNEL is missing: expected one of {}", fmt::join(zonal, ", ")));
  if (contains(not_zonal, name))
    throw CLI::ValidationError(fmt::format("kernel '{}' is not zonal: it tells the coordinates of x apart, so it is no function of the angle between x and x' and spherical "
                                           "harmonics are not its eigenfunctions. Expected one of {}", name, fmt::join(zonal, ", ")));
  if (!contains(zonal, name)) throw CLI::ValidationError(fmt::format("unknown kernel '{}': expected one of {}", name, fmt::join(zonal, ", ")));
  const bool deep = name == "ntk" || name == "nngp" || name == "step", scaled = name == "laplace" || name == "gaussian";
  if (deep && depth_option->count() == 0) throw CLI::ValidationError(fmt::format("{} needs --depth, the number of its weight layers: 2 or more", name));
  if (!deep && depth_option->count() > 0) throw CLI::ValidationError(fmt::format("--depth says nothing about {}: it belongs to ntk, nngp and step", name));
  if (!scaled && scale_option->count() > 0) throw CLI::ValidationError(fmt::format("--scale says nothing about {}: it belongs to laplace and gaussian", name));
  if (name == "ntk") return ZonalKernel::ntk(depth);
  if (name == "nngp") return ZonalKernel::nngp(depth);
  if (name == "step") return ZonalKernel::step(depth);
  if (name == "laplace") return ZonalKernel::laplace(scale);
  if (name == "gaussian") return ZonalKernel::gaussian(scale);
  return ZonalKernel::arc_cosine(name.back() - '0');
}

void SphereOptions::add_to(CLI::App& command) {
  command.add_option("--dim", dim, "d: points have d coordinates and lie on the sphere S^(d-1); 3 or more")->required();
  command.add_option("--k-max", k_max, "Eigenvalues of degree 0 to k")->capture_default_str();
  command.add_option("--digits", spectrum.digits, "Correct digits of every eigenvalue")->capture_default_str();
  command.add_option("--nodes", spectrum.nodes, "Quadrature nodes; 0: as many as are needed")->capture_default_str();
}

}  // namespace pathkernel::cli
