#include <pathkernel/machine/matrix.h>

#include <pathkernel/core/bytes.h>
#include <pathkernel/core/error.h>
#include <pathkernel/core/finite.h>

#include <ATen/ops/aminmax.h>
#include <ATen/ops/cholesky_inverse.h>
#include <ATen/ops/cholesky_solve.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/linalg_cholesky_ex.h>
#include <ATen/ops/linalg_eigh.h>
#include <ATen/ops/linalg_eigvalsh.h>
#include <ATen/ops/linalg_solve_triangular.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace pathkernel {
namespace {

constexpr double epsilon = std::numeric_limits<double>::epsilon();

/// max |K|, of finite entries.
double largest_entry(const Tensor& K, const std::string& who, const char* what) {
  const auto [least, most] = at::aminmax(K);  // what is no number makes these none too
  const double largest = std::max(-least.item<double>(), most.item<double>());
  if (std::isfinite(largest)) return largest;
  const int64_t at = first_not_finite(K), columns = K.size(1);
  throw InvalidInput(fmt::format("{}: entry ({}, {}) of the {} is {}; a kernel's values must be finite", who, at / columns, at % columns, what,
                                 K.reshape(-1)[at].item<double>()));
}

Tensor as_float64(const Tensor& K, const std::string& who, const char* what, double* largest = nullptr) {
  if (!K.defined() || K.dim() != 2 || K.numel() == 0 || K.is_complex())
    throw InvalidInput(fmt::format("{}: the {} is {}, expected a matrix of real numbers", who, what, describe(K)));
  const Tensor numbers = K.detach().to(at::kDouble);
  const double found = largest_entry(numbers, who, what);
  if (largest != nullptr) *largest = found;
  return numbers;
}

/// max |K − Kᵀ|, tile by tile: both of a tile and its mirror image fit the cache.
double largest_asymmetry(const Tensor& K) {
  constexpr int64_t tile = 128;
  const int64_t n = K.size(0);
  double largest = 0;
  for (int64_t i = 0; i < n; i += tile)
    for (int64_t j = 0; j <= i; j += tile) {
      const int64_t rows = std::min(tile, n - i), columns = std::min(tile, n - j);
      largest = std::max(largest, (K.narrow(0, i, rows).narrow(1, j, columns) - K.narrow(0, j, columns).narrow(1, i, rows).t()).abs_().max().item<double>());
    }
  return largest;
}

/// L, and whether every pivot is more than rounding.
std::pair<Tensor, bool> try_cholesky(const Tensor& A) {
  const auto [L, info] = at::linalg_cholesky_ex(A);
  if (info.item<int64_t>() != 0) return {L, false};
  const double smallest = L.diagonal().min().item<double>(), largest = A.diagonal().max().item<double>();
  return {L, smallest * smallest > static_cast<double>(A.size(0)) * epsilon * largest};
}

Tensor with_diagonal(const Tensor& A, double added) {
  Tensor B = A.clone();
  B.diagonal() += added;
  return B;
}

[[noreturn]] void refuse(const Tensor& A, const MachineOptions& options, const std::string& who, const std::string& what) {
  const Tensor values = at::linalg_eigvalsh(A);
  const double smallest = values.min().item<double>(), largest = values.max().item<double>();
  const double rounding = static_cast<double>(A.size(0)) * epsilon * largest;
  const std::string tried = options.largest_jitter > 0 ? fmt::format(" (also with the jitter allowed, {:g} of the mean diagonal)", options.largest_jitter) : "";
  if (smallest < -rounding)
    throw InvalidInput(fmt::format("{}: {} is not positive definite{}: its eigenvalues go from {:.4g} to {:.4g}. The matrix is no Gram matrix of a "
                                   "kernel, or was rounded; more than {:.2g} on its diagonal would mend it", who, what, tried, smallest, largest, -smallest));
  throw InvalidInput(fmt::format("{}: {} is singular in float64{}: its eigenvalues go from {:.4g} to {:.4g}. Are examples repeated? Put more on its diagonal "
                                 "(lambda, noise; at least {:.2g}), or allow jitter", who, what, tried, smallest, largest, 10 * rounding));
}

}  // namespace

Tensor training_gram(const Tensor& K, const std::string& who) {
  double largest = 0;
  const Tensor numbers = as_float64(K, who, "Gram matrix", &largest);
  if (K.size(0) != K.size(1))
    throw InvalidInput(fmt::format("{}: the Gram matrix of the training examples is {}, but a square one [n, n] is expected", who, describe(K)));
  const double allowed = (K.scalar_type() == at::kDouble ? 1e-10 : 1e-5) * largest;
  const double asymmetry = largest_asymmetry(numbers);
  if (asymmetry > allowed)
    throw InvalidInput(fmt::format("{}: the Gram matrix is not symmetric: entries mirrored in the diagonal differ by up to {:.3g}; compute it from the "
                                   "same examples in the same order", who, asymmetry));
  return numbers;
}

Tensor query_gram(const Tensor& K_x, int64_t n, const std::string& who) {
  Tensor numbers = as_float64(K_x, who, "kernel between queries and training examples");
  if (K_x.size(1) != n)
    throw InvalidInput(fmt::format("{}: the kernel between queries and training examples is {}, but [queries, {}] is expected: one column for each "
                                   "example the machine keeps", who, describe(K_x), n));
  return numbers;
}

Tensor query_diagonal(const Tensor& k_xx, int64_t m, const std::string& who) {
  if (!k_xx.defined() || k_xx.dim() != 1 || k_xx.size(0) != m)
    throw InvalidInput(fmt::format("{}: the kernel of the queries with themselves is {}, but [{}] is expected, one number a query", who, describe(k_xx), m));
  const Tensor numbers = k_xx.detach().to(at::kDouble);
  const Tensor good = at::isfinite(numbers).logical_and(numbers >= 0);
  if (good.all().item<bool>()) return numbers;
  const int64_t at = good.to(at::kByte).argmin().item<int64_t>();
  throw InvalidInput(fmt::format("{}: the kernel of query {} with itself is {}, expected a number from zero up", who, at, numbers[at].item<double>()));
}

Tensor targets_of(const Tensor& y, int64_t n, const std::string& who) {
  if (!y.defined() || y.dim() < 1 || y.dim() > 2 || y.size(0) != n || y.numel() == 0)
    throw InvalidInput(fmt::format("{}: targets are {}, but [{}] or [{}, k] is expected: one row for each row of the Gram matrix", who, describe(y), n, n));
  const Tensor numbers = y.detach().to(at::kDouble);
  if (const int64_t row = first_row_not_finite(numbers); row >= 0) throw InvalidInput(fmt::format("{}: the target of example {} is not finite", who, row));
  return numbers.dim() == 1 ? numbers.unsqueeze(1) : numbers;
}

void require_memory(double matrices, int64_t n, int64_t allowed, const std::string& who) {
  const double bytes = matrices * static_cast<double>(n) * static_cast<double>(n) * 8;
  if (bytes <= static_cast<double>(allowed)) return;
  throw InvalidInput(fmt::format("{}: {} examples take about {} ({:g} matrices of n x n float64 numbers), but {} are allowed; allow more memory, use fewer "
                                 "examples, or a method for many: conjugate gradients, Nystroem, random features", who, n,
                                 print_bytes(static_cast<int64_t>(std::min(bytes, 9e18))), matrices, print_bytes(allowed)));
}

void require_positive_semi_definite(const Tensor& K, const std::string& who) {
  const double largest = K.diagonal().abs().max().item<double>();
  const auto [L, info] = at::linalg_cholesky_ex(with_diagonal(K, 1e-10 * largest));
  if (info.item<int64_t>() == 0 && largest > 0) return;
  const double smallest = at::linalg_eigvalsh(K).min().item<double>();
  if (smallest >= -1e-10 * largest) return;
  throw InvalidInput(fmt::format("{}: the Gram matrix is not positive semi-definite: it has the eigenvalue {:.4g} (largest diagonal entry {:.4g}), which no "
                                 "kernel has", who, smallest, largest));
}

Tensor Cholesky::solve(const Tensor& b) const { return at::cholesky_solve(b, L); }

Tensor Cholesky::half_solve(const Tensor& b) const { return at::linalg_solve_triangular(L, b, /*upper=*/false); }

Tensor Cholesky::inverse() const { return at::cholesky_inverse(L); }

double Cholesky::log_determinant() const { return 2 * L.diagonal().log().sum().item<double>(); }

Cholesky cholesky(const Tensor& A, const MachineOptions& options, const std::string& who, const std::string& what) {
  if (auto [L, good] = try_cholesky(A); good) return {L, 0};
  const double mean = A.diagonal().mean().item<double>();
  const double most = options.largest_jitter * mean;
  for (double jitter = std::min(most, 4 * static_cast<double>(A.size(0)) * epsilon * mean); jitter > 0; jitter = std::min(most, 10 * jitter)) {
    if (auto [L, good] = try_cholesky(with_diagonal(A, jitter)); good) return {L, jitter};
    if (jitter >= most) break;
  }
  refuse(A, options, who, what);
}

EigenDecomposition eigen_decomposition(const Tensor& K, const std::string& who) {
  const auto [values, vectors] = at::linalg_eigh(K);
  const double smallest = values[0].item<double>(), largest = values[-1].item<double>();
  if (smallest < -10 * static_cast<double>(K.size(0)) * epsilon * std::abs(largest) || largest < 0)
    throw InvalidInput(fmt::format("{}: the Gram matrix is not positive semi-definite: its eigenvalues go from {:.4g} to {:.4g}", who, smallest, largest));
  return {values.clamp_min(0), vectors};
}

}  // namespace pathkernel
