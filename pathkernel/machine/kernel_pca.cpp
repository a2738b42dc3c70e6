#include <pathkernel/machine/kernel_pca.h>

#include <pathkernel/core/error.h>

#include <fmt/format.h>

#include <limits>

namespace pathkernel {
namespace {

constexpr const char* who = "kernel PCA";

Tensor centred(const Tensor& K_x, const Tensor& column_means, double mean) { return K_x - K_x.mean(1, /*keepdim=*/true) - column_means + mean; }

}  // namespace

Tensor KernelPca::transform(const Tensor& K_x) const { return centred(query_gram(K_x, directions.size(0), who), column_means, mean).mm(directions); }

KernelPca fit_kernel_pca(const Tensor& K, int64_t components, const MachineOptions& options) {
  if (components < 0) throw InvalidInput(fmt::format("{}: {} components were asked for, expected zero (all) or more", who, components));
  const Tensor gram = training_gram(K, who);
  const int64_t n = gram.size(0);
  require_memory(3, n, options.memory, who);
  KernelPca pca;
  pca.column_means = gram.mean(0);
  pca.mean = pca.column_means.mean().item<double>();
  const EigenDecomposition e = eigen_decomposition(centred(gram, pca.column_means, pca.mean), who);
  const Tensor values = e.values.flip(0);
  const double floor = 10 * static_cast<double>(n) * std::numeric_limits<double>::epsilon() * values[0].item<double>();
  const int64_t rank = values.gt(floor).sum().item<int64_t>(), kept = components == 0 ? rank : components;
  if (rank < kept || rank == 0)
    throw InvalidInput(fmt::format("{}: {} components were asked for, but the centred Gram matrix has only {} eigenvalues above rounding", who, components, rank));
  const Tensor vectors = e.vectors.flip(1).narrow(1, 0, kept), largest = vectors.gather(0, vectors.abs().argmax(0, /*keepdim=*/true));
  pca.variances = values.narrow(0, 0, kept) / static_cast<double>(n);
  pca.explained = values.narrow(0, 0, kept) / values.sum();
  pca.directions = vectors * largest.sign() / values.narrow(0, 0, kept).sqrt();
  return pca;
}

}  // namespace pathkernel
