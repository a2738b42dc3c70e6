// Functions that a program brings itself, and the names by which kernels' texts call them there.

#include <pathkernel/core/error.h>
#include <pathkernel/kernel/duals/dual.h>

#include <fmt/format.h>

#include <cctype>
#include <map>
#include <mutex>

namespace pathkernel {
namespace {

/// Functions in use, by number.
struct Registry {
  std::mutex lock;
  std::map<int64_t, std::weak_ptr<const DualActivation>> functions;
  int64_t next = 1;
};

Registry& registry() {
  static Registry all;
  return all;
}

/// Letters, digits and underscores, as a list of layers can have them.
std::string plain(const std::string& name) {
  std::string text;
  for (const char c : name)
    if (std::isalnum(static_cast<unsigned char>(c)) || c == '_') text += c;
  return text.empty() ? "own" : text;
}

}  // namespace

DualPtr own_function(const std::string& name, std::function<Tensor(const Tensor&)> phi, std::function<Tensor(const Tensor&)> phi_dot, const QuadratureOptions& options) {
  Registry& all = registry();
  const std::lock_guard guard(all.lock);
  std::erase_if(all.functions, [](const auto& f) { return f.second.expired(); });
  const int64_t number = all.next++;
  const DualPtr made = by_quadrature(fmt::format("function:{},{}", number, plain(name)), std::move(phi), std::move(phi_dot), options);
  all.functions[number] = made;
  return made;
}

DualPtr own_function(int64_t number) {
  Registry& all = registry();
  const std::lock_guard guard(all.lock);
  const auto found = all.functions.find(number);
  if (const DualPtr known = found == all.functions.end() ? nullptr : found->second.lock()) return known;
  throw InvalidInput("a function of a program's own is known by its number only there, and while it is in use; build the kernel from the function again");
}

bool names_own_function(const std::string& specification) { return specification.find("function:") != std::string::npos; }

}  // namespace pathkernel
