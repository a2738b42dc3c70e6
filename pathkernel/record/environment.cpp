#include <pathkernel/record/manifest.h>

#include <ATen/Parallel.h>
#include <ATen/Version.h>
#include <fmt/format.h>
#include <gnu/libc-version.h>
#include <sys/utsname.h>
#include <torch/headeronly/version.h>

#include <fstream>

namespace pathkernel {
namespace {

std::string name_of_cpu() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);)
    if (line.starts_with("model name"))
      if (const size_t colon = line.find(": "); colon != std::string::npos) return line.substr(colon + 2);
  return "unknown";
}

/// Kernel name and machine, C library (it computes pow and exp), compiler.
std::string name_of_system() {
  utsname name{};
  uname(&name);
  return fmt::format("{} {}, glibc {}, gcc {}", name.sysname, name.machine, gnu_get_libc_version(), __VERSION__);
}

}  // namespace

Environment Environment::here() {
  Environment e;
  e.pathkernel = PATHKERNEL_VERSION;
  e.torch = TORCH_VERSION;
  e.cpu_capability = at::get_cpu_capability();
  e.cpu_model = name_of_cpu();
  e.blas = fmt::format("{}; {}", at::get_mkl_version(), at::get_mkldnn_version());
  e.system = name_of_system();
  e.threads = at::get_num_threads();
  return e;
}

std::string Environment::difference(const Environment& other) const {
  std::string differences;
  const auto compare = [&](const char* what, const auto& mine, const auto& theirs) {
    if (mine != theirs) differences += fmt::format("{}{} {} instead of {}", differences.empty() ? "" : "; ", what, mine, theirs);
  };
  compare("torch", torch, other.torch);
  compare("threads", threads, other.threads);
  compare("CPU", cpu_model, other.cpu_model);
  compare("CPU capability", cpu_capability, other.cpu_capability);
  compare("linear algebra", blas, other.blas);
  compare("system", system, other.system);
  compare("pathkernel", pathkernel, other.pathkernel);
  return differences;
}

}  // namespace pathkernel
