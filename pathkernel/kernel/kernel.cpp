#include <pathkernel/kernel/kernel.h>

#include <pathkernel/core/error.h>
#include <pathkernel/core/finite.h>

#include <ATen/ops/tril.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

namespace pathkernel {
namespace {

void check_one(const Tensor& x, const char* name) {
  if (!x.defined() || x.dim() < 2 || x.numel() == 0)
    throw InvalidInput(fmt::format("kernel: {} is {}, expected [n, ...] with at least one example and one number per example", name, describe(x)));
  if (x.scalar_type() != at::kDouble && x.scalar_type() != at::kFloat)
    throw InvalidInput(fmt::format("kernel: {} is {}; convert it to float64 or float32 first", name, describe(x)));
  const int64_t row = first_row_not_finite(x);
  if (row < 0) return;
  throw InvalidInput(fmt::format("kernel: {} holds NaN or an infinite number in row {}; remove or fill in such rows first", name, row));
}

}  // namespace

void Kernel::check(const Tensor& x, const Tensor& y) const {
  check_one(x, "x");
  check_inputs(x);
  if (!y.defined()) return;
  check_one(y, "y");
  if (x.sizes().slice(1) != y.sizes().slice(1) || x.scalar_type() != y.scalar_type())
    throw InvalidInput(fmt::format("kernel: x is {} and y is {}; they may differ only in the number of rows", describe(x), describe(y)));
}

Tensor Kernel::gram(const Tensor& x, const Tensor& y) const {
  if (!y.defined()) throw InvalidInput("kernel: y is undefined; for the symmetric matrix of x call gram(x)");
  check(x, y);
  return rectangular(x, y);
}

Tensor Kernel::gram(const Tensor& x) const {
  check(x);
  const Tensor lower = symmetric(x);
  return at::tril(lower) + at::tril(lower, -1).t();
}

Tensor Kernel::diagonal(const Tensor& x) const {
  check(x);
  return diagonal_entries(x);
}

void Kernel::set_hyperparameter(const std::string& name, const Tensor& value) {
  if (assign(name, value)) return;
  std::vector<std::string> names;
  for (const Hyperparameter& p : hyperparameters()) names.push_back(p.name);
  throw InvalidInput(fmt::format("kernel {} has no hyper-parameter \"{}\"; it has {}", specification(), name,
                                 names.empty() ? "none" : fmt::format("{}", fmt::join(names, ", "))));
}

std::shared_ptr<Kernel> Kernel::redrawn(uint64_t) const { return nullptr; }

double Kernel::numbers_per_pair(const Tensor&) const { return 8; }

void Kernel::check_inputs(const Tensor&) const {}

}  // namespace pathkernel
