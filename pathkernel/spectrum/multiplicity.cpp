#include <pathkernel/spectrum/multiplicity.h>

#include <pathkernel/core/error.h>

#include <boost/multiprecision/cpp_int.hpp>
#include <fmt/format.h>

#include <cmath>

namespace pathkernel {
namespace {

void check(int64_t dim, int64_t k) {
  if (dim < 3 || k < 0) throw InvalidInput(fmt::format("multiplicity: d = {}, k = {}: expected d ≥ 3 and k ≥ 0", dim, k));
}

}  // namespace

std::string multiplicity(int64_t dim, int64_t k) {
  check(dim, k);
  if (k == 0) return "1";
  boost::multiprecision::cpp_int product = 1;
  for (int64_t j = 1; j <= dim - 2; ++j) product = product * (k - 1 + j) / j;  // C(k−1+j, j): whole at every step
  return boost::multiprecision::cpp_int(product * (2 * k + dim - 2) / k).str();
}

double log10_multiplicity(int64_t dim, int64_t k) {
  check(dim, k);
  if (k == 0) return 0;
  const auto d = static_cast<double>(dim), n = static_cast<double>(k);
  return (std::log((2 * n + d - 2) / n) + std::lgamma(n + d - 2) - std::lgamma(d - 1) - std::lgamma(n)) / std::log(10.0);
}

}  // namespace pathkernel
