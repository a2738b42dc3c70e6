#include <pathkernel/kernel/similarity.h>

#include <pathkernel/core/error.h>

#include <ATen/ops/diag_embed.h>
#include <ATen/ops/linalg_eigh.h>
#include <ATen/ops/linalg_eigvalsh.h>
#include <ATen/ops/matmul.h>
#include <fmt/format.h>

#include <cmath>
#include <limits>

namespace pathkernel {
namespace {

Tensor checked(const Tensor& K, const char* what) {
  if (K.dim() != 2 || K.size(0) != K.size(1) || K.size(0) == 0) throw InvalidInput(fmt::format("{}: a square Gram matrix is expected, but this is {}", what, describe(K)));
  return K.detach().to(at::kCPU, at::kDouble);
}

double number(const Tensor& t) { return t.item<double>(); }
double product(const Tensor& K, const Tensor& L) { return number((K * L).sum()); }

Tensor centred(const Tensor& K) { return K - K.mean(0, true) - K.mean(1, true) + K.mean(); }

/// Song et al. 2012, of matrices with zero diagonals.
double unbiased_hsic(const Tensor& K, const Tensor& L) {
  const auto n = static_cast<double>(K.size(0));
  const double through = number((K.sum(0) * L.sum(0)).sum());  // 1ᵀ K L 1
  return (product(K, L) + number(K.sum()) * number(L.sum()) / ((n - 1) * (n - 2)) - 2 / (n - 2) * through) / (n * (n - 3));
}

/// Of a matrix with itself: not negative, and 0 for what rounding leaves where its terms cancel.
double own_hsic(const Tensor& K) {
  const auto n = static_cast<double>(K.size(0));
  const double hsic = unbiased_hsic(K, K), rounding = 4 * std::numeric_limits<double>::epsilon() * product(K, K) / (n - 3);
  return hsic > rounding ? hsic : 0;
}

}  // namespace

double kernel_distance(const Tensor& K, const Tensor& L) {
  const Tensor a = checked(K, "kernel_distance"), b = checked(L, "kernel_distance");
  return 1 - product(a, b) / std::sqrt(product(a, a) * product(b, b));
}

double centred_alignment(const Tensor& K, const Tensor& L) {
  const Tensor a = centred(checked(K, "centred_alignment")), b = centred(checked(L, "centred_alignment"));
  return product(a, b) / std::sqrt(product(a, a) * product(b, b));
}

double unbiased_centred_alignment(const Tensor& K, const Tensor& L) {
  const auto without_diagonal = [](const Tensor& G) { return G - at::diag_embed(G.diagonal()); };
  const Tensor a = without_diagonal(checked(K, "unbiased_centred_alignment")), b = without_diagonal(checked(L, "unbiased_centred_alignment"));
  if (a.size(0) < 4) throw InvalidInput(fmt::format("unbiased_centred_alignment: {} inputs; four or more are needed", a.size(0)));
  const double own_a = own_hsic(a), own_b = own_hsic(b);
  return own_a > 0 && own_b > 0 ? unbiased_hsic(a, b) / (std::sqrt(own_a) * std::sqrt(own_b)) : std::numeric_limits<double>::quiet_NaN();
}

EffectiveRanks effective_ranks(const Tensor& K) {
  const Tensor lambda = at::linalg_eigvalsh(checked(K, "effective_ranks")).clamp_min(0), sum = lambda.sum();
  const Tensor p = lambda / sum, some = p.masked_select(p > 0);
  return {std::exp(-number((some * some.log()).sum())), number(sum.square() / lambda.square().sum()), number(sum / lambda.max())};
}

double label_alignment(const Tensor& K, const Tensor& Y) {
  const Tensor a = checked(K, "label_alignment"), y = Y.to(at::kDouble).reshape({a.size(0), -1});
  return product(at::matmul(a, y), y) / (std::sqrt(product(a, a)) * product(y, y));
}

double leading_share(const Tensor& K, const Tensor& Y, int64_t r) {
  const Tensor a = checked(K, "leading_share"), y = Y.to(at::kDouble).reshape({a.size(0), -1});
  const Tensor leading = std::get<1>(at::linalg_eigh(a)).narrow(1, a.size(0) - std::min(r, a.size(0)), std::min(r, a.size(0)));
  return number(at::matmul(leading.t(), y).square().sum()) / product(y, y);
}

}  // namespace pathkernel
